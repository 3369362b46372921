"""The page a stranger reads first."""

from __future__ import annotations

from airlock_evidence.dossier import Dossier
from airlock_evidence.trust import fingerprint
from airlock_evidence.words import when

_TEXT = """\
Evidence of release {release}
{line}

Model {model}, version {version}, into {environment}. The release is {state}.
Taken from Airlock's log on {at} by {by}.

Start with report.html: it opens in any browser, and loads nothing.


How to check it
---------------

You need Python 3.9 or newer and nothing else. No network is used.

    python3 verify.py                 in this folder, unpacked into an empty one, or
    python3 verify.py BUNDLE.zip      on the zip as you got it

Exit code 0: it holds. 1: it does not, and the first thing that failed is named. 2: wrong use.
3: could not tell.

Whose signature is it? Ask the company, by another way than the one this bundle came by, for the
public keys of its log or for their fingerprints, and give them:

    python3 verify.py BUNDLE.zip --keys FOLDER       with *.pem, and *.vkey of witnesses
    python3 verify.py BUNDLE.zip --fingerprint HEX   may be given several times

Without that the keys inside are used, and a good answer only says that the bundle agrees with
itself. Fingerprints of the keys inside (SHA-256 of the 32 bytes of each key):

{keys}

Whoever forged a bundle would forge this program too. If it matters, use a copy of verify.py and of
the folders airlock_evidence and airlock that you got elsewhere, or write your own: everything below
is in open formats (RFC 8032, RFC 6962, C2SP signed notes, DSSE, in-toto, SHA-256, JSON).


What is proved, if the keys are right
-------------------------------------

* log/stream.jsonl is the whole log of this release up to the export: exact bytes, chained by
  SHA-256, each entry in the Merkle tree of a checkpoint the log's key has signed. The entry of the
  export, in the same tree, says how many there were.
* policy.json and pipeline.json are the documents this release was judged under; evidence/ is what
  the gates judged. Their digests are in the log. Every gate was judged again by its own code, in
  the folder airlock, and reached the same verdict with the same numbers; a gate that could not be
  is named.
* Who approved or rejected, as what, at which level, when, for which subject; with the roles held
  at that time; and that the levels of the policy were met by different people who may judge it.
* grants/ is the permission that was issued, signed, for exactly this subject.
* subject.json, votes.json, gates.json, outcome.json, model-card.md, report.html and this file were
  made again from the log by the check and are the same to the byte.
* If a witness is named: a second machine has seen the log grow to that checkpoint and no other way.


What is not proved
------------------

* That what was measured is true. The evidence is what the pipeline reported; only digests and
  verdicts are checked. Evidence no gate has judged is not named in the log at all.
* Who sat in front of the screen. People are named by their user names in the company's login.
* What happened after the export, and in other releases: another version may serve by now.
* That no other log exists, unless a witness has cosigned the checkpoint.
* Rights and delegations are shown by single entries of the log; that no later entry took them away
  before the vote is what Airlock checked then, not what this bundle proves.
* What an erased text said. It is shown as "erased"; an entry of the log says that it was erased,
  and the log still holds the commitment to it.
* That the time of the machine was right. Entries lie before the checkpoint that covers them.
"""


def readme(dossier: Dossier) -> str:
    """Return README.txt."""
    release, export = dossier.release, dossier.export
    keys = [
        f"    log, key {key}\n    {fingerprint(public)}"
        for key, public in sorted(dossier.keys.log.items())
    ]
    keys += [
        f"    witness {name}\n    {fingerprint(public)}"
        for name, public in sorted(dossier.keys.witnesses.items())
    ]
    title = f"Evidence of release {release.id}"
    return _TEXT.format(
        release=release.id,
        line="=" * len(title),
        model=release.subject["model"],
        version=release.subject["version"],
        environment=release.subject["environment"],
        state=release.state,
        at=when(export["at"]) if export else "(not exported)",
        by=export["who"]["id"] if export else "nobody",
        keys="\n\n".join(keys),
    )
