"""What `audit verify` does not compare, and why it cannot matter; the same in ADR 0042."""

from __future__ import annotations

from typing import Any

#: table, or table.column -> why no edit of it can change a decision, a statement or what is shown.
UNCHECKED: dict[str, str] = {
    "answered": "the answer to a repeated request; a false one moves nothing, the state is read",
    "parked": "which task waits; an edit costs a wake-up, and its park ends by itself",
    "proposal": "what a task handed in; what was made of it is an event, and compared",
    "chat_message": "where a message stands in the chat, to redraw it; what it shows is read anew",
    "chat_code": "a code works for minutes; the link it would make is an event, and compared",
    "chat_link.id": "a number nobody refers to",
    "chat_try.id": "a number nobody refers to",
    "role_grant.id": "a number nobody refers to",
    "timer.id": "a number nobody refers to",
    "outbox.id": "the order of delivery",
    "person.name": "personal text that can be erased, and told by Airflow; ids decide",
    "timer.ended_at": "whether it has ended is compared; the minute is a note",
    "outbox.posted_at": "delivery's own note",
    "outbox.due_at": "delivery's own note",
    "outbox.attempts": "delivery's own note",
    "outbox.settled_at": "delivery's own note",
    "outbox.error": "delivery's own note",
    "audit_checkpoint.at": "nobody reads it; the note has its own time, which is signed",
    "audit_copy.at": "nobody reads it",
    "audit_copy.place": "which place has which checkpoint; it is carried there again",
    "audit_copy.receipt": "a cosignature, good or useless",
    "audit_tree.id": "there is one row, whatever its number",
    "audit_text.erased_at": "the entry about the erasure has the time",
}

#: table -> which of its rows, as SQL; those whose loss is found.
DELETABLE: dict[str, str] = {
    "audit_checkpoint": "",
    "audit_event": "",
    "audit_leaf": "",
    "audit_node": "",
    "audit_stream": "seq > 0",
    "audit_text": "",
    "audit_tree": "",
    "account": "",
    "break_glass": "",
    "candidate": "origin LIKE '%/first'",
    "chat_link": "",
    "chat_try": "",
    "configuration": "",
    "delegation": "",
    "enrolment": "",
    "finding": "",
    "look_alike": "",
    "gate_result": "origin LIKE '%/first'",
    "line": "",
    "outbox": "key LIKE '%/note/APPROVED-1-0' AND key LIKE (SELECT id FROM release "
    "WHERE state = 'APPROVED') || '/%'",
    "person": "",
    "release": "",
    "release_grant": "",
    "role_grant": "",
    "run_evidence": "origin LIKE '%/first'",
    "timer": "release IN (SELECT id FROM release WHERE state = 'APPROVED') AND kind = 'unused'",
    "vote": "",
}

#: table -> what a second row differs in.
INSERTABLE: dict[str, dict[str, Any]] = {
    "audit_event": {"id": 10**6, "seq": 10**6},
    "audit_leaf": {"idx": 10**6, "event": 10**6},
    "audit_node": {"idx": 10**6},
    "audit_stream": {"stream": "forged"},
    "break_glass": {"round": 9},
    "chat_link": {"id": 10**6},
    "chat_try": {"id": 10**6},
    "configuration": {"digest": "sha256:x"},
    "delegation": {"id": "del-x"},
    "account": {"person": "eve"},
    "enrolment": {"id": "enr-x"},
    "look_alike": {"name": "eve"},
    "run": {"origin": "forged/run"},
    "run_evidence": {"kind": "forged"},
    "candidate": {"origin": "forged/run"},
    "evidence": {"digest": "sha256:x"},
    "finding": {"id": "fin-x"},
    "gate_result": {"key": "forged"},
    "line": {"environment": "staging"},
    "outbox": {"id": 10**6, "key": "rel-x/permit/grant-x"},
    "person": {"id": "eve"},
    "release": {"id": "rel-forged"},
    "release_grant": {"id": "grant-x"},
    "role_grant": {"id": 10**6},
    "timer": {"id": 10**6, "key": "rel-x/expire/1-1-1"},
    "vote": {"person": "eve"},
}
