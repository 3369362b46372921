"""Text that Airflow shows and never renders.

Airflow renders whatever an operator lists in `template_fields` with the task's whole context,
connections and variables included, and shows those fields on the task's page. Ours are shown as
they stand: what comes from a pipeline's YAML, a model or data is never a template.
"""

from __future__ import annotations

from typing import Any


class LiteralFields:
    """A mixin: every text in a template field is left as it is; results of other tasks come in."""

    def render_template(
        self, content: Any, context: Any, jinja_env: Any = None, seen_oids: set[int] | None = None
    ) -> Any:
        """Return *content* with results of other tasks put in, and no text rendered."""
        if isinstance(content, str):
            return content
        return super().render_template(content, context, jinja_env, seen_oids)  # type: ignore[misc]
