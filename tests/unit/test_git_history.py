"""Who changed the code since a commit: everybody, or unknown with the reason. Never a short list.

The cases 02 (shallow clone), 03 (squash, then merge) and 18 (shared code), and their siblings.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from airlock.adapters.git_code import authors, commit, last_author, last_commit
from airlock.adapters.git_code.imports import imported
from airlock.adapters.git_code.runner import Checkout
from airlock.domain.errors import Refused
from airlock.domain.people.separation_of_duties import is_unknown

MODEL = "include/models/churn"
TRAIN = f"{MODEL}/train.py"


class Repository:
    """A repository with a model that luis wrote; `base` is the commit that serves."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True)
        self.git("luis", "init", "-q", "-b", "main")
        self.write(TRAIN, "x = 1\n")
        self.base = self.commit("luis")

    def git(self, author: str, *arguments: str, stdin: str = "") -> str:
        name = ("-c", f"user.name={author}", "-c", f"user.email={author}@corp.example")
        command = ("git", *name, "-c", "protocol.file.allow=always", "-C", str(self.root))
        clean = {key: text for key, text in os.environ.items() if not key.startswith("GIT_")}
        completed = subprocess.run(
            (*command, *arguments), check=True, capture_output=True, text=True, env=clean,
            input=stdin,
        )  # fmt: skip
        return completed.stdout.strip()

    def write(self, path: str, text: str) -> None:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def commit(self, author: str, message: str = "more") -> str:
        self.git(author, "add", "-A")
        self.git(author, "commit", "-q", "--allow-empty", "-m", message)
        return self.git(author, "rev-parse", "HEAD")

    def change(self, author: str, text: str, path: str = TRAIN) -> str:
        self.write(path, text)
        return self.commit(author)

    def clone(self, name: str, *options: str) -> Path:
        there = self.root.parent / name
        self.git("bot", "clone", "-q", *options, f"file://{self.root}", str(there))
        return there

    def author_names(self, root: Path | None = None) -> set[str]:
        """Return the authors without their domain, and "unknown" if there may be more."""
        people = authors(root or self.root, MODEL, self.base)
        return {"unknown" if is_unknown(person) else person.partition("@")[0] for person in people}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "full")


def test_nothing_committed_since_is_nobody_and_that_is_known(repository: Repository) -> None:
    repository.change("otto", "note", "NOTES")
    assert repository.author_names() == set()


def test_a_shallow_clone_is_unknown(repository: Repository) -> None:
    repository.change("lena", "x = 2\n")
    repository.change("bot", "note", "NOTES")
    shallow = repository.clone("shallow", "--depth", "1")
    assert repository.author_names() == {"lena"}
    assert "unknown" in repository.author_names(shallow)
    (why,) = (person for person in authors(shallow, MODEL) if is_unknown(person))
    assert "shallow clone" in why
    assert "git fetch --unshallow" in why
    assert is_unknown(last_author(shallow, MODEL))


def test_a_shallow_clone_that_has_all_since_the_base_is_complete(repository: Repository) -> None:
    repository.change("lena", "x = 2\n")
    assert repository.author_names(repository.clone("two", "--depth", "2")) == {"lena"}
    repository.change("kim", "x = 3\n")
    assert "unknown" in repository.author_names(repository.clone("two-more", "--depth", "2"))


def test_a_squash_and_a_merge_of_the_same_branch_drop_nobody(repository: Repository) -> None:
    repository.git("lena", "checkout", "-qb", "feature")
    repository.change("lena", "x = 2\n")
    repository.git("bot", "checkout", "-q", "main")
    repository.git("bot", "merge", "-q", "--squash", "feature")
    repository.commit("bot", "squash of feature")
    repository.git("lena", "checkout", "-q", "feature")
    repository.change("lena", "n", "NOTES")
    repository.git("bot", "checkout", "-q", "main")
    repository.git("bot", "merge", "-q", "--no-ff", "-m", "merge feature", "feature")
    assert repository.author_names() == {"bot", "lena"}


def test_a_squash_names_the_authors_git_lists_in_its_message(repository: Repository) -> None:
    repository.git("lena", "checkout", "-qb", "feature")
    repository.change("lena", "x = 2\n")
    repository.git("bot", "checkout", "-q", "main")
    repository.git("bot", "merge", "-q", "--squash", "feature")
    repository.git("bot", "commit", "-q", "--no-edit")
    repository.git("bot", "branch", "-qD", "feature")
    assert repository.author_names() == {"bot", "lena"}


def test_co_authors_count_wherever_the_message_names_them(repository: Repository) -> None:
    repository.write(TRAIN, "x = 2\n")
    repository.commit("ann", "two\n\nCO-authored-By: Kim <Kim@corp.example>\n\nand more text\nend")
    assert repository.author_names() == {"ann", "kim"}


def test_whoever_drops_changes_by_a_merge_is_named(repository: Repository) -> None:
    repository.git("eve", "checkout", "-qb", "old")
    repository.change("eve", "n", "NOTES")
    repository.git("kim", "checkout", "-q", "main")
    repository.change("kim", "x = 2  # the repair\n")
    repository.git("mallory", "checkout", "-q", "old")
    repository.git("mallory", "merge", "-q", "-s", "ours", "-m", "merge main", "main")
    assert repository.author_names() == {"kim", "mallory"}


def test_an_evil_merge_is_named(repository: Repository) -> None:
    repository.git("eve", "checkout", "-qb", "side")
    repository.change("eve", "n", "NOTES")
    repository.git("eve", "checkout", "-q", "main")
    repository.change("eve", "m", "MORE")
    repository.git("mallory", "merge", "-q", "--no-commit", "--no-ff", "side")
    repository.change("mallory", "x = 666\n")
    assert repository.author_names() == {"mallory"}


def test_files_are_followed_through_renames(repository: Repository) -> None:
    text = "".join(f"line_{number} = {number}\n" for number in range(40))
    repository.change("luis", text, "lib/old.py")
    repository.base = repository.git("luis", "rev-parse", "HEAD")
    repository.change("lena", text + "more = 1\n", "lib/old.py")
    repository.git("kim", "mv", "lib/old.py", "lib/newer.py")
    repository.commit("kim")
    repository.git("bot", "mv", "lib/newer.py", f"{MODEL}/help.py")
    repository.commit("bot")
    assert repository.author_names() == {"lena", "kim", "bot"}


def test_renames_off_in_the_configuration_change_nothing(repository: Repository) -> None:
    repository.git("luis", "config", "diff.renames", "false")
    test_files_are_followed_through_renames(repository)


def test_a_base_that_is_not_in_the_history_is_unknown(repository: Repository) -> None:
    repository.git("lena", "checkout", "-q", "--orphan", "other")
    repository.change("lena", "x = 2\n")
    assert repository.author_names() == {"lena", "unknown"}
    for base in ("f" * 40, "--all", "v1.0", "HEAD"):
        people = authors(repository.root, MODEL, base)
        assert any(map(is_unknown, people)), base


def test_grafts_and_replaced_commits_hide_nobody(repository: Repository) -> None:
    changed = repository.change("lena", "x = 2\n")
    last = repository.change("bot", "x = 3\n")
    (repository.root / ".git/info").mkdir(exist_ok=True)
    (repository.root / ".git/info/grafts").write_text(f"{last} {repository.base}\n")
    assert repository.author_names() == {"bot", "lena"}
    (repository.root / ".git/info/grafts").unlink()
    repository.git("eve", "replace", "--graft", last, repository.base)
    assert changed not in repository.git("eve", "rev-list", "HEAD")  # git itself is deceived
    assert repository.author_names() == {"bot", "lena"}


def test_a_partial_clone_fetches_nothing_and_says_so(repository: Repository) -> None:
    repository.git("luis", "config", "uploadpack.allowFilter", "true")
    repository.change("lena", "x = 2\n")
    repository.change("bot", "x = 3\n")
    partial = repository.clone("partial", "--filter=tree:0", "--no-checkout")
    assert "unknown" in repository.author_names(partial)


def test_a_lost_object_is_unknown(repository: Repository) -> None:
    changed = repository.change("lena", "x = 2\n")
    repository.change("bot", "x = 3\n")
    (repository.root / ".git/objects" / changed[:2] / changed[2:]).unlink()
    assert "unknown" in repository.author_names()


def test_a_submodule_is_unknown(repository: Repository, tmp_path: Path) -> None:
    other = Repository(tmp_path / "other")
    repository.git("luis", "submodule", "-q", "add", f"file://{other.root}", f"{MODEL}/sub")
    repository.base = repository.commit("luis")
    people = authors(repository.root, MODEL, repository.base)
    assert any("a repository of its own" in person for person in people)
    assert "+dirty:" in commit(repository.root, MODEL)


def test_a_commit_without_an_address_is_unknown(repository: Repository) -> None:
    repository.write(TRAIN, "x = 2\n")
    repository.git("lena", "add", "-A")
    repository.git("lena", "-c", "user.email=", "commit", "-q", "-m", "who")
    assert repository.author_names() == {"unknown"}
    assert "names no address" in last_author(repository.root, MODEL)


SETTINGS = (
    ("log.showSignature", "true"), ("log.follow", "true"), ("log.decorate", "full"),
    ("format.pretty", "oneline"), ("color.ui", "always"), ("core.pager", "false"),
    ("i18n.logOutputEncoding", "utf-16"), ("core.quotePath", "true"), ("diff.external", "false"),
    ("core.fsmonitor", "false"), ("core.hooksPath", "/nowhere"), ("log.excludeDecoration", "*"),
    ("diff.noprefix", "true"), ("status.showUntrackedFiles", "no"), ("core.useReplaceRefs", "true"),
    ("core.ignoreStat", "true"), ("trailer.separators", "%"), ("log.mailmap", "true"),
)  # fmt: skip


def test_no_setting_of_the_repository_changes_the_answer(repository: Repository) -> None:
    repository.write(".mailmap", "Nobody <nobody@x.example> <lena@corp.example>\n")
    repository.change("lena", "x = 2\n")
    for key, text in SETTINGS:
        repository.git("luis", "config", key, text)
    assert repository.author_names() == {"lena"}
    assert commit(repository.root, MODEL) == repository.git("luis", "rev-parse", "HEAD")


def test_nothing_of_the_callers_environment_counts(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Repository(tmp_path / "other")
    repository.change("lena", "x = 2\n")
    evil = tmp_path / "gitconfig"
    evil.write_text("[log]\n showSignature = true\n[core]\n pager = false\n")
    for name, text in {
        "GIT_DIR": str(other.root / ".git"), "GIT_WORK_TREE": str(other.root),
        "GIT_INDEX_FILE": str(tmp_path / "none"), "GIT_CONFIG_GLOBAL": str(evil),
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.worktree",
        "GIT_CONFIG_VALUE_0": str(other.root), "GIT_OBJECT_DIRECTORY": str(tmp_path),
        "GIT_SHALLOW_FILE": str(evil), "GIT_TRACE": "1", "GIT_EXTERNAL_DIFF": "false",
        "GIT_NAMESPACE": "x", "LC_ALL": "de_DE.UTF-8", "GIT_GLOB_PATHSPECS": "1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, text)
    assert repository.author_names() == {"lena"}


@pytest.mark.parametrize("hidden", ["--assume-unchanged", "--skip-worktree"])
def test_a_change_git_was_told_not_to_see_is_seen(repository: Repository, hidden: str) -> None:
    repository.git("eve", "update-index", hidden, TRAIN)
    repository.write(TRAIN, "x = 666\n")
    assert repository.git("eve", "status", "--porcelain") == ""
    assert "+dirty:" in commit(repository.root, MODEL)
    assert repository.author_names() == {"unknown"}


def test_a_filter_that_hides_a_change_hides_nothing(repository: Repository) -> None:
    (repository.root / ".git/info").mkdir(exist_ok=True)
    (repository.root / ".git/info/attributes").write_text("*.py filter=same\n")
    repository.git("eve", "config", "filter.same.clean", "cat >/dev/null; echo 'x = 1'")
    repository.write(TRAIN, "x = 666\n")
    assert repository.git("eve", "hash-object", TRAIN) == repository.git(
        "eve", "rev-parse", f"HEAD:{TRAIN}"
    )  # to git the file is unchanged
    assert "+dirty:" in commit(repository.root, MODEL)


@pytest.mark.parametrize("where", [".gitignore", ".git/info/exclude"])
def test_files_that_git_ignores_count(repository: Repository, where: str) -> None:
    repository.write(where, "*.json\nlocal.py\n")
    if where == ".gitignore":
        repository.commit("luis")
    before = commit(repository.root, MODEL)
    repository.write(f"{MODEL}/local.py", "FACTOR = 2\n")
    first = commit(repository.root, MODEL)
    repository.write(f"{MODEL}/local.py", "FACTOR = 3\n")
    assert "+" not in before
    assert len({before, first, commit(repository.root, MODEL)}) == 3
    assert repository.author_names() == {"unknown"}


def test_a_file_kept_by_lfs_is_what_its_pointer_names(repository: Repository) -> None:
    data = "rows"
    digest = subprocess.run(
        ["sha256sum"], input=data.encode(), capture_output=True, check=True
    ).stdout.decode()[:64]
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize 4\n"
    repository.base = repository.change("luis", pointer, f"{MODEL}/rows.csv")
    repository.write(f"{MODEL}/rows.csv", data)
    assert "+" not in commit(repository.root, MODEL)
    repository.write(f"{MODEL}/rows.csv", "other")
    assert "+dirty" in commit(repository.root, MODEL)


def test_shared_code_counts_for_commit_and_committers(repository: Repository) -> None:
    repository.write("include/models/common/prep.py", "FACTOR = 1.0\n")
    repository.write(TRAIN, "from models.common.prep import FACTOR\n")
    repository.base = repository.commit("luis")
    clean = repository.change("lena", "FACTOR = 1.5\n", "include/models/common/prep.py")
    assert commit(repository.root, MODEL) == clean
    assert repository.author_names() == {"lena"}
    states = set()
    for factor in ("2.5", "3.5"):
        repository.write("include/models/common/prep.py", f"FACTOR = {factor}\n")
        states.add(commit(repository.root, MODEL))
    assert len(states) == 2
    assert all(state.startswith(f"{clean}+dirty:sha256:") for state in states)
    assert repository.author_names() == {"lena", "unknown"}


def test_shared_code_that_git_ignores_counts(repository: Repository) -> None:
    repository.write(".gitignore", "secret_prep.py\n")
    repository.write(TRAIN, "import models.secret_prep\n")
    repository.write("include/models/secret_prep.py", "FACTOR = 1.0\n")
    repository.base = repository.commit("luis")
    assert "+dirty:" in commit(repository.root, MODEL)
    assert repository.author_names() == {"unknown"}


USES: dict[str, str] = {
    "import lib.deep.part": "include/lib/deep/part.py",
    "import lib.deep as short": "include/lib/deep/__init__.py",
    "from lib.deep import part": "include/lib/deep/part.py",
    "from lib.deep.part import *": "include/lib/deep/part.py",
    "from ..common import prep": "include/models/common/prep.py",
    "from .. import common": "include/models/common/__init__.py",
    "if 0:\n    try:\n        import single\n    except ImportError: pass": "include/single.py",
    "def f():\n    import single": "include/single.py",
    "__import__('single')": "include/single.py",
    "import importlib\nimportlib.import_module('lib.deep.part')": "include/lib/deep/part.py",
    "import native": "include/native.abi3.so",
    "import chained": "include/single.py",
    "open('tables/codes.csv')": "tables/codes.csv",
    "open('../common/codes.csv')": "include/models/common/codes.csv",
    "Path(__file__).parents[1] / 'common' / 'codes.csv'": "include/models/common/codes.csv",
    "os.path.join(here, 'common', 'codes.csv')": "include/models/common/codes.csv",
    "root.joinpath('tables', 'codes.csv')": "tables/codes.csv",
    "import runpy\nrunpy.run_path('tables/run.py')": "tables/inner.py",
}  # fmt: skip


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shared")
    for path, text in {
        "include/lib/deep/__init__.py": "", "include/lib/deep/part.py": "",
        "include/models/common/__init__.py": "", "include/models/common/prep.py": "",
        "include/models/common/codes.csv": "a", "include/single.py": "",
        "include/native.abi3.so": "", "include/chained.py": "from single import x\n",
        "tables/codes.csv": "a", "tables/run.py": "import inner\n", "tables/inner.py": "",
    }.items():  # fmt: skip
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / MODEL).mkdir()
    return root


@pytest.mark.parametrize("text", USES)
def test_what_the_code_uses_outside_its_folder_is_found(shared: Path, text: str) -> None:
    (shared / TRAIN).write_text(f"{text}\n")
    assert USES[text] in imported(shared, MODEL).files


def test_what_lies_beside_and_in_libraries_is_not_shared_code(shared: Path) -> None:
    (shared / TRAIN).write_text(
        "import json, numpy, train\nfrom . import help\nopen('/etc/passwd')\n"
    )
    assert imported(shared, MODEL).files == ()


def test_the_packages_around_the_folder_run_with_it(shared: Path) -> None:
    (shared / TRAIN).write_text("")
    (shared / "include/models/__init__.py").write_text("import single\n")
    files = imported(shared, MODEL).files
    (shared / "include/models/__init__.py").unlink()
    assert files == ("include/models/__init__.py", "include/single.py")


def test_a_file_that_is_no_python_leaves_the_committers_unknown(repository: Repository) -> None:
    repository.base = repository.change("luis", "import (\n")
    assert repository.author_names() == {"unknown"}


def test_a_link_out_of_the_repository_is_unknown(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "far.py").write_text("x = 1\n")
    (repository.root / MODEL / "far.py").symlink_to(tmp_path / "far.py")
    repository.base = repository.commit("luis")
    assert repository.author_names() == {"unknown"}


def test_a_link_within_the_repository_brings_its_target(repository: Repository) -> None:
    repository.write("lib/near.py", "x = 1\n")
    (repository.root / MODEL / "near.py").symlink_to("../../../lib/near.py")
    repository.base = repository.commit("luis")
    repository.change("lena", "x = 2\n", "lib/near.py")
    assert repository.author_names() == {"lena"}
    repository.write("lib/near.py", "x = 3\n")
    assert "+dirty:" in commit(repository.root, MODEL)


def test_a_pipe_beside_the_code_is_a_change_and_nobody_waits(repository: Repository) -> None:
    os.mkfifo(repository.root / MODEL / "pipe.py")
    assert "+dirty:" in commit(repository.root, MODEL)
    assert repository.author_names() == {"unknown"}


@pytest.mark.parametrize("name", ["with space.py", "ünï.py", "new\nline.py", "*.py", ":(top)x.py"])
def test_odd_names_are_followed(repository: Repository, name: str) -> None:
    repository.change("lena", "y = 1\n", f"{MODEL}/{name}")
    assert "+" not in commit(repository.root, MODEL)
    assert repository.author_names() == {"lena"}


def test_a_checkout_inside_a_larger_repository(tmp_path: Path) -> None:
    outer = Repository(tmp_path / "outer")
    outer.write(f"airlock/{TRAIN}", "x = 1\n")
    outer.base = outer.commit("luis")
    outer.change("lena", "x = 2\n", f"airlock/{TRAIN}")
    inner = outer.root / "airlock"
    assert authors(inner, MODEL, outer.base) == ("lena@corp.example",)
    assert "+" not in commit(inner, MODEL)
    (outer.root / "unpacked" / MODEL).mkdir(parents=True)
    (outer.root / "unpacked" / TRAIN).write_text("x = 1\n")
    assert any(map(is_unknown, authors(outer.root / "unpacked", MODEL, outer.base)))


def test_another_working_tree_and_a_bare_neighbour(repository: Repository) -> None:
    there = repository.root.parent / "tree"
    repository.git("lena", "worktree", "add", "-q", "-b", "more", str(there))
    (there / TRAIN).write_text("x = 2\n")
    subprocess.run(
        ["git", "-c", "user.name=lena", "-c", "user.email=lena@corp.example", "-C", str(there),
         "commit", "-qam", "two"], check=True,
    )  # fmt: skip
    assert repository.author_names(there) == {"lena"}
    bare = repository.clone("bare.git", "--bare")
    with pytest.raises(Refused, match="nobody can say which code"):
        Checkout.at(bare)


def test_the_policies_last_author_is_complete_or_unknown(repository: Repository) -> None:
    folder = "include/policies"
    repository.change("ana", "a: 1\n", f"{folder}/access.yaml")
    repository.change("bot", "note", "NOTES")
    assert last_author(repository.root, folder) == "ana@corp.example"
    assert last_author(repository.root, str(repository.root / folder)) == "ana@corp.example"
    assert "shallow" in last_author(repository.clone("shallow", "--depth", "1"), folder)
    repository.write(f"{folder}/access.yaml", "a: 2\n")
    assert "in no commit" in last_author(repository.root, folder)


def test_the_last_commit_of_a_folder(repository: Repository) -> None:
    last = repository.change("lena", "x = 2\n")
    repository.change("bot", "note", "NOTES")
    assert last_commit(repository.root, MODEL) == last
    assert last_commit(repository.root.parent, MODEL) == ""


def test_policies_in_a_repository_of_their_own(repository: Repository, tmp_path: Path) -> None:
    own = Repository(tmp_path / "own")
    own.change("ana", "a: 1\n", "policies/access.yaml")
    assert last_author(repository.root, str(own.root / "policies")) == "ana@corp.example"
    (tmp_path / "plain").mkdir()
    assert is_unknown(last_author(repository.root, str(tmp_path / "plain")))
