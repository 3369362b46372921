"""What may be wrong in a policy: a sentence -> the edit that spoils it and what must be said."""

from __future__ import annotations

#: Sentence -> (policy, old text, new text, path, what the message must say)
REFUSALS: dict[str, tuple[str, str, str, str, str]] = {
    "an unknown weight of a gate": (
        "approvals", "  grantHours: 336", "  grantHours: 336\n  enforcement: {latency: sofft}",
        "spec.enforcement.latency", 'Did you mean "soft"?',
    ),
    "an unknown weight of a gate in one tier": (
        "approvals", "  grantHours: 336", "  grantHours: 336\n  enforcement: {latency: {low: no}}",
        "spec.enforcement.latency.low", "one of",
    ),
    "a weight of a gate there is not": (
        "approvals", "  grantHours: 336", "  grantHours: 336\n  enforcement: {latencyy: soft}",
        "spec.enforcement.latencyy", 'Did you mean "latency"?',
    ),
    "a riskier tier that weighs a gate less": (
        "approvals", "  grantHours: 336",
        "  grantHours: 336\n  enforcement: {latency: {high: advisory, medium: soft}}",
        "spec.enforcement.latency.medium", "at least hard, as for the safer tier low",
    ),
    "no required gate that could block": (
        "approvals", "  grantHours: 336",
        "  grantHours: 336\n  enforcement: {artifact-format: advisory, data-validation: advisory, "
        "latency: advisory, metrics-threshold: advisory, performance-regression: advisory}",
        "spec.enforcement", "all of them advisory: empty never passes",
    ),
    "a tier without levels": (
        "approvals", "- {name: algorithm-lead, rules: [{role: algorithm_lead, count: 1}]}\n"
        "        - {name: compliance, rules: [{role: compliance_officer, count: 1}]}\n"
        "        - {name: risk-committee, rules: [{role: risk_committee, count: 2}]}", "[]",
        "spec.tiers.high.levels", "at least one entry; found an empty list",
    ),
    "a level without rules": (
        "approvals", "[{role: risk_committee, count: 2}]", "[]",
        "spec.tiers.high.levels[2].rules", "at least one entry; found an empty list",
    ),
    "a rule of nobody": (
        "approvals", "role: risk_committee, count: 2", "role: risk_committee, count: 0",
        "spec.tiers.high.levels[2].rules[0].count", "at least 1; found the number 0",
    ),
    "a negative count": (
        "approvals", "role: risk_committee, count: 2", "role: risk_committee, count: -2",
        "spec.tiers.high.levels[2].rules[0].count", "found the number -2",
    ),
    "a count as text": (
        "approvals", "count: 2", 'count: "2"', "spec.tiers.high.levels[2].rules[0].count",
        'a whole number; found the text "2"',
    ),
    "an unknown role": (
        "approvals", "role: risk_committee", "role: risk_comittee",
        "spec.tiers.high.levels[2].rules[0].role", 'Did you mean "risk_committee"?',
    ),
    "a role that may not vote": (
        "approvals", "role: risk_committee", "role: developer",
        "spec.tiers.high.levels[2].rules[0].role", "a role that may vote",
    ),
    "a rule without anybody": (
        "approvals", "{role: risk_committee, count: 2}", "{count: 2}",
        "spec.tiers.high.levels[2].rules[0]", "either a role or people; found neither",
    ),
    "a rule with both": (
        "approvals", "{role: risk_committee, count: 2}", "{role: risk_committee, people: [mara]}",
        "spec.tiers.high.levels[2].rules[0]", "found both",
    ),
    "fewer people than needed": (
        "approvals", "{role: risk_committee, count: 2}", "{people: [mara], count: 2}",
        "spec.tiers.high.levels[2].rules[0].people", "at least 2 people, each named once",
    ),
    "one person named twice": (
        "approvals", "{role: risk_committee, count: 2}", "{people: [mara, mara], count: 2}",
        "spec.tiers.high.levels[2].rules[0].people", "each named once; found mara, mara",
    ),
    "a person with a look-alike letter": (
        "approvals", "{role: risk_committee, count: 2}", "{people: [m\u0430ra, milo], count: 2}",
        "spec.tiers.high.levels[2].rules[0].people[0]", "plain letters",
    ),
    "a rule of two kinds": (
        "approvals", "{role: risk_committee, count: 2}",
        "{role: risk_committee, anyOf: [{role: algorithm_lead}]}",
        "spec.tiers.high.levels[2].rules[0]", "one of allOf and anyOf",
    ),
    "an anyOf of nothing": (
        "approvals", "{role: risk_committee, count: 2}", "{anyOf: []}",
        "spec.tiers.high.levels[2].rules[0].anyOf", "at least one entry",
    ),
    "a count beside anyOf": (
        "approvals", "{role: risk_committee, count: 2}",
        "{anyOf: [{role: risk_committee, count: 2}], count: 2}",
        "spec.tiers.high.levels[2].rules[0].count", "no count beside anyOf",
    ),
    "an unknown role deep in a rule": (
        "approvals", "{role: risk_committee, count: 2}",
        "{anyOf: [{allOf: [{role: risk_comittee, count: 2}]}]}",
        "spec.tiers.high.levels[2].rules[0].anyOf[0].allOf[0].role",
        'Did you mean "risk_committee"?',
    ),
    "rules too deep": (
        "approvals", "{role: risk_committee, count: 2}",
        "{anyOf: [{allOf: [{anyOf: [{role: risk_committee, count: 2}]}]}]}",
        "spec.tiers.high.levels[2].rules[0]", "rules at most 3 deep; found 4 deep",
    ),
    "too many ways to meet a level": (
        "approvals", "[{role: risk_committee, count: 2}]",
        "[" + ", ".join(["{anyOf: [{role: risk_committee}, {role: algorithm_lead}]}"] * 7) + "]",
        "spec.tiers.high.levels[2].rules", "at most 64 ways to meet a level; found 128",
    ),
    "keeping out nobody": (
        "approvals", "  grantHours: 336", "  separationOfDuties: {also: [{}]}\n  grantHours: 336",
        "spec.separationOfDuties.also[0]", "either a role or a person; found neither",
    ),
    "letting somebody in again": (
        "approvals", "  grantHours: 336",
        "  separationOfDuties: {except: [{person: ana}]}\n  grantHours: 336",
        "spec.separationOfDuties.except", "only the key",
    ),
    "keeping out an unknown role": (
        "approvals", "  grantHours: 336",
        "  separationOfDuties: {also: [{role: develper}]}\n  grantHours: 336",
        "spec.separationOfDuties.also[0].role", 'Did you mean "developer"?',
    ),
    "one person breaking the glass": (
        "approvals", "    people: 2", "    people: 1", "spec.breakGlass.people", "at least 2",
    ),
    "an emergency of a day": (
        "approvals", "    hours: 4", "    hours: 24", "spec.breakGlass.hours", "at most 4",
    ),
    "the administrator breaking the glass": (
        "approvals", "roles: [algorithm_lead, compliance_officer]", "roles: [admin]",
        "spec.breakGlass.roles[0]", "other than the administrator's",
    ),
    "an author twice": (
        "access", "lena@example.org:", "Ana@Example.org:", "spec.gitAuthors.Ana@Example.org",
        "each author once",
    ),
    "one's own superior": (
        "access", "algorithm_lead: mina", "mina: mina", "spec.superiors.mina", "somebody else",
    ),
    "a level twice": (
        "approvals", "name: risk-committee", "name: compliance",
        "spec.tiers.high.levels[2].name", "each level once; found compliance again",
    ),
    "a tier left out": (
        "approvals", "    low:\n", "    lowest:\n", "spec.tiers.low", "found nothing",
    ),
    "an unknown tier": (
        "approvals", "    low:\n", "    lowest:\n", "spec.tiers.lowest", 'Did you mean "low"?',
    ),
    "a riskier tier that asks fewer": (
        "approvals", "        - {name: risk-committee, rules: [{role: risk_committee, count: 2}]}\n"
        "      timers: {remindHours: 72, repeat: true, escalate: false, expireHours: 216}\n"
        "    medium:\n      levels:\n",
        "    medium:\n      levels:\n"
        "        - {name: risk-committee, rules: [{role: risk_committee, count: 2}]}\n",
        "spec.tiers.high", "at least 4 votes, as many as the safer tier medium; found 2",
    ),
    "production without people": (
        "approvals", "people: true, alias: champion", "people: false, alias: champion",
        "spec.environments.production.people", "nothing reaches production without people",
    ),
    "production without gates": (
        "approvals", "gates: true, people: true", "gates: false, people: true",
        "spec.environments.production.gates", "people approve what gates measured",
    ),
    "no production": (
        "approvals", "    production:", "    live:", "spec.environments",
        "an environment production; found development, staging, live",
    ),
    "a back door to the champion": (
        "approvals", "alias: staging", "alias: champion", "spec.environments.production.alias",
        'an alias of its own; found "champion", which moves for staging',
    ),
    "a back door by the default alias": (
        "approvals", "development: {gates: false, people: false, alias: development}",
        "champion: {gates: false, people: false}", "spec.environments.production.alias",
        "which moves for champion",
    ),
    "an alias MLflow reserves": (
        "approvals", "alias: staging", "alias: v2", "spec.environments.staging.alias", "reserve",
    ),
    "no required gates": (
        "approvals", "    - artifact-format\n    - data-validation\n    - latency\n"
        "    - metrics-threshold\n    - performance-regression", "    []", "spec.requiredGates",
        "at least one entry",
    ),
    "an unknown required gate": (
        "approvals", "- latency", "- latancy", "spec.requiredGates[2]", 'Did you mean "latency"?',
    ),
    "a required gate twice": (
        "approvals", "- latency", "- data-validation", "spec.requiredGates[2]", "each one once",
    ),
    "a grant for ever": (
        "approvals", "grantHours: 336", "grantHours: 100000", "spec.grantHours", "at most 8784",
    ),
    "a grant for no time": (
        "approvals", "grantHours: 336", "grantHours: 0", "spec.grantHours", "at least 1",
    ),
    "a reminder after the end": (
        "approvals", "remindHours: 72", "remindHours: 216", "spec.tiers.high.timers.remindHours",
        "fewer hours than until it expires (216); found 216",
    ),
    "a release that never expires": (
        "approvals", "expireHours: 216", "expireHours: 100000",
        "spec.tiers.high.timers.expireHours", "at most 8784",
    ),
    "a release that expires at once": (
        "approvals", "expireHours: 216", "expireHours: 0", "spec.tiers.high.timers.expireHours",
        "at least 1",
    ),
    "a timer that approves": (
        "approvals", "repeat: true", "approve: true", "spec.tiers.high.timers.approve",
        "only the keys",
    ),
    "a business clock without a place": (
        "approvals", "clock: {kind: wall}", "clock: {kind: business}", "spec.clock.timeZone",
        "an IANA time zone",
    ),
    "a time zone that does not exist": (
        "approvals", "clock: {kind: wall}", "clock: {kind: business, timeZone: Europe/Belrin}",
        "spec.clock.timeZone", "an IANA time zone",
    ),
    "a wall clock with business hours": (
        "approvals", "clock: {kind: wall}", "clock: {timeZone: Europe/Berlin}", "spec.clock.kind",
        "business, since there are settings for it",
    ),
    "an unknown country": (
        "approvals", "clock: {kind: wall}", "clock: {kind: business, timeZone: Europe/Berlin, "
        "country: XX, years: {first: 2026, last: 2027}}", "spec.clock.country", "two letters",
    ),
    "a country without years": (
        "approvals", "clock: {kind: wall}",
        "clock: {kind: business, timeZone: Europe/Berlin, country: DE}", "spec.clock.country",
        "only one of them",
    ),
    "years that run backwards": (
        "approvals", "clock: {kind: wall}", "clock: {kind: business, timeZone: Europe/Berlin, "
        "country: DE, years: {first: 2027, last: 2026}}", "spec.clock.years.last", "found 2026",
    ),
    "work that ends before it begins": (
        "approvals", "clock: {kind: wall}", "clock: {kind: business, timeZone: Europe/Berlin, "
        'hours: {from: "17:00", to: "09:00"}}', "spec.clock.hours.to", "a time after 17:00",
    ),
    "a time that is none": (
        "approvals", "clock: {kind: wall}", "clock: {kind: business, timeZone: Europe/Berlin, "
        'hours: {from: "9"}}', "spec.clock.hours.from", "a time of day",
    ),
    "a holiday that is no date": (
        "approvals", "clock: {kind: wall}", "clock: {kind: business, timeZone: Europe/Berlin, "
        'holidays: ["2026-02-30"]}', "spec.clock.holidays[0]", "a date such as",
    ),
    "a fallback that may not vote": (
        "approvals", "fallbackRole: risk_committee", "fallbackRole: admin",
        "spec.fallbackRole", "a role that may vote",
    ),
    "an unknown permission": (
        "access", "release:request", "release:requets", "spec.roles.developer.permissions[1]",
        'Did you mean "release:request"?',
    ),
    "an unknown inherited role": (
        "access", "inherits: [operator]", "inherits: [operater]", "spec.roles.admin.inherits[0]",
        'Did you mean "operator"?',
    ),
    "a role that inherits from itself": (
        "access", "inherits: [operator]", "inherits: [admin]", "spec.roles.admin.inherits[0]",
        "admin, which makes a circle",
    ),
    "a circle of roles": (
        "access", "    viewer:\n", "    viewer:\n      inherits: [admin]\n",
        "spec.roles.operator.inherits[0]", "which makes a circle",
    ),
    "an administrator who votes": (
        "access", "[audit:verify, people:erase, approver:enrol]", "[release:vote]",
        "spec.roles.admin.permissions[0]", "for an administrator",
    ),
    "a vote by inheritance": (
        "access", "inherits: [operator]", "inherits: [algorithm_lead]",
        "spec.roles.admin.inherits[0]", "without release:vote, which is never inherited",
    ),
    "an export by inheritance": (
        "access", "inherits: [operator]", "inherits: [security_auditor]",
        "spec.roles.admin.inherits[0]", "without audit:export, which is never inherited",
    ),
    "an export by somebody else": (
        "access", "[audit:verify, people:erase, approver:enrol]", "[audit:export]",
        "spec.roles.admin.permissions[0]", "for security_auditor only",
    ),
    "Airflow's Admin as a voter": (
        "access", "Admin: admin", "Admin: algorithm_lead", "spec.airflowRoles.Admin",
        "a role that may neither vote nor waive",
    ),
    "everybody as a viewer": (
        "access", "Viewer: viewer", "Public: viewer", "spec.airflowRoles.Public",
        "roles of people who logged in",
    ),
    "an unknown role for Airflow's": (
        "access", "Op: operator", "Op: opertor", "spec.airflowRoles.Op", 'Did you mean "operator"?',
    ),
    "an unknown tier of a rule": (
        "risk", "tier: low", "tier: lwo", "spec.rules[6].tier", 'Did you mean "low"?',
    ),
    "an unknown fact of a rule": (
        "risk", "customerImpact: indirect}}", "customrImpact: indirect}}",
        "spec.rules[3].when.customrImpact", 'Did you mean "customerImpact"?',
    ),
    "a choice that is none": (
        "risk", "customerImpact: indirect}}", "customerImpact: indirekt}}",
        "spec.rules[3].when.customerImpact", 'Did you mean "indirect"?',
    ),
    "a rule for everybody": (
        "risk", "when: {customerImpact: indirect}", "when: {}", "spec.rules[3].when",
        "at least one entry",
    ),
    "a rule that never applies": (
        "risk", "    - {tier: medium, when: {customerImpact: indirect}}",
        "    - {tier: high, when: {customerImpact: direct, personalData: false}}", "spec.rules[3]",
        "a rule that can apply; found one that rules[2] always forestalls",
    ),
    "a fact without choices": (
        "risk", "personalData: [true, false]", "personalData: []", "spec.facts.personalData",
        "at least one entry",
    ),
    "no facts": (
        "risk",
        "    customerImpact: [none, indirect, direct]\n    automatedDecision: [true, false]\n"
        "    personalData: [true, false]", "    {}", "spec.facts", "at least one entry",
    ),
    "a choice twice": (
        "risk", "[none, indirect, direct]", "[none, direct, direct]",
        "spec.facts.customerImpact[2]", "each one once",
    ),
    "another kind": (
        "risk", "kind: RiskPolicy", "kind: RiskPolice", "kind", 'Did you mean "RiskPolicy"?',
    ),
}  # fmt: skip
