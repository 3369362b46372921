"""MLflow's model registry with the gate in it: `--registry-store-uri airlock://backend`.

Rules:
* A protected alias moves by spending a grant in the transaction that moves it: delivered, signed,
  in time, for exactly this version, its files, their place, and what the alias points at now.
* Files are hashed outside the transaction; what binds them is checked again inside.
* Nothing with a release behind it is renamed, deleted or created again, nor is a prompt that the
  run of a frozen version used. Stages are off.
* A version's files lie in the server's own store. Tags under `airlock.` are Airlock's alone.
* A protected alias is only ever shown if a signed release backs it.

The scheme is the guard's own on purpose: if this module cannot be imported, MLflow knows no such
scheme and starts without a registry, instead of with an unguarded one.
"""

from __future__ import annotations

from typing import Any

from mlflow.prompt.constants import (
    _PROMPT_SOURCE_PLACEHOLDERS,
    IS_PROMPT_TAG_KEY,
    PROMPT_MODEL_CONFIG_TAG_KEY,
    PROMPT_TEXT_TAG_KEY,
    PROMPT_TYPE_TAG_KEY,
    RESPONSE_FORMAT_TAG_KEY,
)
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlRegisteredModelAlias
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from mlflow.utils.validation import (
    _validate_alias_name,
    _validate_alias_name_reserved,
    _validate_model_name,
    _validate_model_version,
)

from airlock.domain.errors import Invalid
from airlock_mlflow import backing, belonging, ledger, spending
from airlock_mlflow.caller import caller
from airlock_mlflow.denial import Denied
from airlock_mlflow.guard import Guard, millis, recorded
from airlock_mlflow.naming import is_reserved_tag
from airlock_mlflow.places import place_of
from airlock_mlflow.sources import is_copy, location_of

#: The tags of a version that are a prompt's content.
_PROMPT_TAGS = frozenset(
    [
        IS_PROMPT_TAG_KEY,
        PROMPT_MODEL_CONFIG_TAG_KEY,
        PROMPT_TEXT_TAG_KEY,
        PROMPT_TYPE_TAG_KEY,
        RESPONSE_FORMAT_TAG_KEY,
    ]
)
_READ_ONLY = "What was released stays as it is; other models can be changed freely"


class GuardedStore(SqlAlchemyStore):  # type: ignore[misc] # MLflow ships no types
    """The registry of one guarded server."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        missing = guard.missing_tables()
        if missing:
            raise Invalid(
                f"the guard's tables {', '.join(missing)} are not in MLflow's database: run "
                "`python -m airlock_mlflow.schema` as its owner first"
            )
        super().__init__(guard.settings.database)

    # -- aliases -----------------------------------------------------------------------------

    @recorded
    def set_registered_model_alias(self, name: str, alias: str, version: Any) -> None:
        """Set an alias; a protected one by spending a grant."""
        _validate_model_name(name)
        _validate_alias_name(alias)
        _validate_alias_name_reserved(alias)
        problem = self._guard.aliases.problem(alias)
        if problem:
            raise Denied("set alias", f"{name}@{alias}", problem, "Use another name")
        if not self._guard.aliases.is_protected(alias):
            super().set_registered_model_alias(name, alias, version)
            return
        spending.move(self, self._guard, name, alias, int(_validate_model_version(version)))

    @recorded
    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Delete an alias that is not protected."""
        like = self._guard.aliases.looks_like(alias)
        if self._guard.aliases.is_protected(alias) or like:
            why = f"the alias {like or alias} of {name} is protected: it is never deleted"
            raise Denied("delete alias", f"{name}@{alias}", why, "Release another version instead")
        super().delete_registered_model_alias(name, alias)

    @recorded
    def get_model_version_by_alias(self, name: str, alias: str) -> Any:
        """Return the version an alias points at; a protected one only if a release backs it."""
        like = self._guard.aliases.looks_like(alias)
        if like:
            why = f"the alias {alias!r} is not the protected {like!r}"
            raise Denied("read alias", f"{name}@{alias}", why, f"Read {like!r}")
        entity = super().get_model_version_by_alias(name, alias)
        if self._guard.aliases.is_protected(alias):
            problem = self._problem(name, alias, int(entity.version))
            if problem:  # a release may have come between the two questions: ask both again
                entity = super().get_model_version_by_alias(name, alias)
                problem = self._problem(name, alias, int(entity.version))
            if problem:
                raise Denied("read alias", f"{name}@{alias}", problem)
        entity.aliases = [
            other for other in entity.aliases if other == alias or self._is_backed(name, other)
        ]
        return entity

    def _problem(self, name: str, alias: str, version: int) -> str:
        workspace = self._get_active_workspace()
        with self._guard.reading() as work:
            return backing.problem(self._guard, work, workspace, name, alias, version)

    def protected_aliases(self, session: Any) -> list[tuple[str, str, str, int, str]]:
        """Return workspace, model, alias, version and location of every protected alias."""
        rows = []
        for row in self._get_query(session, SqlRegisteredModelAlias).all():
            if self._guard.aliases.is_protected(row.alias):
                key = {"name": row.name, "version": row.version}
                version = self._get_query(session, SqlModelVersion).filter_by(**key).first()
                location = (version.storage_location or version.source) if version else ""
                rows.append((row.workspace, row.name, row.alias, int(row.version), location))
        return rows

    def _is_backed(self, name: str, alias: str, version: int | None = None) -> bool:
        if self._guard.aliases.looks_like(alias):
            return False
        if not self._guard.aliases.is_protected(alias):
            return True
        at = version
        if at is None:
            with self.ManagedSessionMaker() as session:
                row = self._get_registered_model_alias(session, name, alias)
                at = None if row is None else int(row.version)
        return at is not None and not self._problem(name, alias, at)

    def _without_unbacked(self, model: Any) -> Any:
        model._aliases = {
            alias: version
            for alias, version in model._aliases.items()
            if self._is_backed(model.name, alias, int(version))
        }
        return model

    def get_registered_model(self, name: str) -> Any:
        """Return a model; a protected alias is shown only if a release backs it."""
        return self._without_unbacked(super().get_registered_model(name))

    def search_registered_models(self, *args: Any, **kwargs: Any) -> Any:
        """Search for models; a protected alias is shown only if a release backs it."""
        models = super().search_registered_models(*args, **kwargs)
        for model in models:
            self._without_unbacked(model)
        return models

    def get_model_version(self, name: str, version: Any) -> Any:
        """Return a version; a protected alias is shown only if a release backs it."""
        entity = super().get_model_version(name, version)
        entity.aliases = [alias for alias in entity.aliases if self._is_backed(name, alias)]
        return entity

    @recorded
    def get_model_version_download_uri(self, name: str, version: Any) -> str:
        """Return the location of a version's files; a frozen one must still lie where it was."""
        location: str = super().get_model_version_download_uri(name, version)
        number = int(_validate_model_version(version))
        with self.ManagedSessionMaker() as session:
            row = ledger.frozen(session, name, number)
        if row is not None and row.location != location:
            why = f"version {number} of {name} was frozen at {row.location}, not at {location}"
            raise Denied("download", f"{name}/{number}", why)
        return location

    # -- versions ----------------------------------------------------------------------------

    @recorded
    def create_model_version(
        self,
        name: str,
        source: str,
        run_id: str | None = None,
        tags: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Create a version whose files lie in the server's own store."""
        if is_copy(source) and not caller().program:  # what Airlock said is about the original
            tags = [tag for tag in tags or [] if not is_reserved_tag(tag.key)]
        self._check_tags(name, [tag.key for tag in tags or []])
        marks = {tag.key: tag.value for tag in tags or []}
        prompt = str(marks.get(IS_PROMPT_TAG_KEY, "false")).lower() == "true"
        if not (prompt and source in _PROMPT_SOURCE_PLACEHOLDERS):
            location = location_of(self, source)
            if place_of(location) is None:
                why = f"the files of a new version of {name} would lie at {location}, outside this \
server's own store"
                step = "Log the model with a run of this server and register that"
                raise Denied("create version", name, why, step)
        return super().create_model_version(name, source, run_id, tags, *args, **kwargs)

    @recorded
    def delete_model_version(self, name: str, version: Any) -> None:
        """Delete a version nothing was ever released or frozen of."""
        number = int(_validate_model_version(version))
        with self.ManagedSessionMaker() as session:
            row = ledger.frozen(session, name, number)
        if row is not None:
            why = f"version {number} of {name} is frozen for a release"
            raise Denied("delete version", f"{name}/{number}", why, _READ_ONLY)
        self._check_prompt("delete version", name, str(number))
        super().delete_model_version(name, number)

    @recorded
    def transition_model_version_stage(self, name: str, version: Any, *_: Any, **__: Any) -> Any:
        """Refuse: stages are off, a version is released by an alias."""
        raise Denied("set stage", f"{name}/{version}", "stages are off on this server")

    # -- models ------------------------------------------------------------------------------

    @recorded
    def rename_registered_model(self, name: str, new_name: str) -> Any:
        """Rename a model that has no release history, to a name that has none."""
        for model in (name, new_name):
            self._check_history("rename model", model)
        self._check_prompt("rename model", name)
        return super().rename_registered_model(name, new_name)

    @recorded
    def delete_registered_model(self, name: str) -> None:
        """Delete a model that has no release history."""
        self._check_history("delete model", name)
        self._check_prompt("delete model", name)
        super().delete_registered_model(name)

    def _check_history(self, action: str, name: str) -> None:
        with self.ManagedSessionMaker() as session:
            if ledger.has_history(session, name):
                raise Denied(action, name, f"{name} has versions that were released", _READ_ONLY)

    def _check_prompt(self, action: str, name: str, version: str = "") -> None:
        """Refuse to change a prompt that a run behind a frozen version has used."""
        with self.ManagedSessionMaker() as session:
            row = belonging.user_of_prompt(session.connection(), name, version)
        if row is not None:
            target = f"{name}/{version}" if version else name
            why = f"the run of {row.model} version {row.version} used the prompt {target}"
            raise Denied(action, target, why, "Register another version of the prompt")

    # -- tags --------------------------------------------------------------------------------

    def _check_tags(self, target: str, keys: list[str], *, creating: bool = True) -> None:
        ours = [key for key in keys if is_reserved_tag(key)]
        if ours and not (creating and caller().program):
            why = f"the tag {ours[0]} is written by Airlock alone, when a version is created"
            raise Denied("set tag", target, why, "Use another name for your tag")

    @recorded
    def set_registered_model_tag(self, name: str, tag: Any) -> None:
        """Set a tag of a model, except Airlock's own."""
        self._check_tags(name, [tag.key], creating=False)
        super().set_registered_model_tag(name, tag)

    @recorded
    def delete_registered_model_tag(self, name: str, key: str) -> None:
        """Delete a tag of a model, except Airlock's own."""
        self._check_tags(name, [key], creating=False)
        super().delete_registered_model_tag(name, key)

    @recorded
    def set_model_version_tag(self, name: str, version: Any, tag: Any) -> None:
        """Set a tag of a version, except Airlock's own."""
        self._check_tags(f"{name}/{version}", [tag.key], creating=False)
        if tag.key in _PROMPT_TAGS:
            self._check_prompt("set tag", name, str(int(_validate_model_version(version))))
        super().set_model_version_tag(name, version, tag)

    @recorded
    def delete_model_version_tag(self, name: str, version: Any, key: str) -> None:
        """Delete a tag of a version, except Airlock's own."""
        self._check_tags(f"{name}/{version}", [key], creating=False)
        if key in _PROMPT_TAGS:
            self._check_prompt("delete tag", name, str(int(_validate_model_version(version))))
        super().delete_model_version_tag(name, version, key)

    @recorded
    def create_registered_model(self, name: str, tags: Any = None, *args: Any, **kw: Any) -> Any:
        """Create a model, with tags of Airlock's own only from Airlock."""
        self._check_tags(name, [tag.key for tag in tags or []])
        return super().create_registered_model(name, tags, *args, **kw)

    # -- freezing ----------------------------------------------------------------------------

    @recorded
    def freeze(self, name: str, version: Any) -> dict[str, Any]:
        """Let a version's files never change again; return where they lie."""
        number = int(_validate_model_version(version))
        with self.ManagedSessionMaker(read_only=False) as session:
            row = self._get_sql_model_version(session, name, number)
            location = row.storage_location or row.source
            place = place_of(location)
            if place is None:
                why = f"version {number} of {name} lies at {location}, outside this server's store"
                raise Denied("freeze", f"{name}/{number}", why, "Register it from a logged model")
            ledger.freeze(
                session,
                {
                    "model": name,
                    "version": number,
                    "location": location,
                    "place": place,
                    "created_ms": row.creation_time,
                    "frozen_ms": millis(self._guard.now(session.connection())),
                    "frozen_by": caller().name[:256],
                },
            )
        return {"model": name, "version": str(number), "location": location, "frozen": True}
