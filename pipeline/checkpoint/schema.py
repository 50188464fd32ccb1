"""The journal's tables, and what each is for. One file, one format version, which every reader checks.

``plans``     one line for each state of job and input that was run; rows belong to the newest. ``samples`` is how often each row is asked.
``sessions``  one line for each time a process worked on the run; ``estimate`` is what it expected to spend, as JSON, in picodollars.
``requests``  one line for each distinct question: its fingerprint, its standing answer, and what it has cost over all attempts that have
              ended. Their numbers leave none out. No index finds a fingerprint: who writes has them all in memory.
``rows``      which question each input row asks, or why it asks none; with k samples a row asks k, and one that asks none has one line.
``attempts``  one line for each request that left, written before it leaves. ``state`` is ``sent`` until its outcome is known: ``answered``,
              ``refused``, ``unknown``, ``never``, or ``round`` where the reply wanted another round and the last one is not finished. One
              that is ``sent`` and has a ``response_id`` is worked on by the provider, and its answer can be fetched. It keeps what
              its price depends on, never a price: the model and tier that were asked and that served, the tokens it used, and the
              most it could use (``held_``) where money was held for it. What it costs is worked out when it is read. ``turn`` says
              what a further round is for: ``tools`` or ``repair``.
"""

from __future__ import annotations

VERSION = 1

PILOT = -1
"""The exit code of a session that asked some rows only, to estimate the others, and wrote no table."""

TABLES = """
CREATE TABLE plans(
  id INTEGER PRIMARY KEY, job_digest TEXT NOT NULL, input_signature TEXT NOT NULL, rows INTEGER, names_files INTEGER NOT NULL DEFAULT 0,
  simulated INTEGER NOT NULL, samples INTEGER NOT NULL DEFAULT 1, created_at REAL NOT NULL
);
CREATE TABLE sessions(
  id INTEGER PRIMARY KEY, plan INTEGER NOT NULL, job TEXT NOT NULL, folder TEXT NOT NULL, started_at REAL NOT NULL, ended_at REAL,
  exit_code INTEGER, pid INTEGER NOT NULL, version TEXT NOT NULL, estimate TEXT
);
CREATE TABLE requests(
  id INTEGER PRIMARY KEY, fingerprint BLOB NOT NULL, status TEXT NOT NULL DEFAULT 'pending', again INTEGER NOT NULL DEFAULT 1,
  answered_by INTEGER, carrier INTEGER, carrier_plan INTEGER,
  text TEXT, refusal TEXT, tool_calls TEXT, reasoning TEXT, error_kind TEXT, error_message TEXT,
  sources TEXT, images TEXT, notes TEXT, confidence REAL, phase TEXT,
  provider TEXT, model TEXT, service_tier TEXT, response_id TEXT, latency_s REAL, first_token_s REAL, finished_at REAL,
  attempts INTEGER NOT NULL DEFAULT 0, maybe_paid INTEGER NOT NULL DEFAULT 0, unreported INTEGER NOT NULL DEFAULT 0,
  input_tokens INTEGER, cached_tokens INTEGER, output_tokens INTEGER, reasoning_tokens INTEGER, total_tokens INTEGER,
  cache_write_tokens INTEGER, vendor_cost REAL, searches INTEGER
);
CREATE TABLE rows(
  row INTEGER NOT NULL, sample INTEGER NOT NULL, plan INTEGER NOT NULL, request INTEGER, status TEXT, error_kind TEXT, error_message TEXT,
  PRIMARY KEY (row, sample)
) WITHOUT ROWID;
CREATE TABLE attempts(
  id INTEGER PRIMARY KEY, request INTEGER NOT NULL, row INTEGER NOT NULL, session INTEGER NOT NULL, state TEXT NOT NULL DEFAULT 'sent',
  sent_at REAL NOT NULL, waited_s REAL, asked_model TEXT NOT NULL, asked_tier TEXT, held_input INTEGER, held_output INTEGER, turn TEXT,
  latency_s REAL, status TEXT, error_kind TEXT, error_message TEXT, http_status INTEGER, request_id TEXT,
  response_id TEXT, model TEXT, service_tier TEXT,
  input_tokens INTEGER, cached_tokens INTEGER, output_tokens INTEGER, reasoning_tokens INTEGER, total_tokens INTEGER,
  cache_write_tokens INTEGER, vendor_cost REAL, searches INTEGER, raw BLOB
);
CREATE INDEX attempts_of ON attempts(request);
CREATE INDEX attempts_open ON attempts(state) WHERE state = 'sent';
CREATE INDEX attempts_cancelled ON attempts(id) WHERE error_kind = 'cancelled';
CREATE INDEX attempts_rounds ON attempts(request) WHERE state = 'round';
"""

NOTE = "INSERT OR REPLACE INTO rows(row, sample, plan, request, status, error_kind, error_message) VALUES (?, ?, ?, NULL, ?, ?, ?)"

UNTIE_OTHERS = "DELETE FROM rows WHERE row = ? AND sample > 0"

NOTE_FILES = "UPDATE plans SET names_files = 1 WHERE id = ?"

END_SESSION = "UPDATE sessions SET ended_at = ?, exit_code = ? WHERE id = (SELECT MAX(id) FROM sessions)"

# Since a retry with changes, the answer of one request stands for another too, which then needs no asking either.
STAND_IN = """
UPDATE requests SET answered_by = (SELECT COALESCE(a.answered_by, a.id) FROM requests AS a WHERE a.id = ?), again = 0 WHERE id = ?
"""

HAS_ANSWERS = """
SELECT EXISTS(SELECT 1 FROM rows AS r JOIN requests AS q ON q.id = r.request
WHERE r.plan = ? AND q.status NOT IN ('pending', 'failed', 'unknown', 'cancelled'))
"""

ROWS_KNOWN = "SELECT COALESCE(MAX(row), -1) + 1 FROM rows WHERE plan = ?"

ROWS_ASKING = "SELECT row, request FROM rows WHERE plan = ? AND request IS NOT NULL"

ROWS_WITH_STATUS = """
SELECT r.row, r.sample, q.id FROM rows AS r LEFT JOIN requests AS q ON q.id = r.request
LEFT JOIN requests AS a ON a.id = COALESCE(q.answered_by, q.id)
WHERE r.plan = ? AND COALESCE(a.status, r.status) IN ({marks})
"""

SUBMIT = "UPDATE attempts SET response_id = ? WHERE id = ?"

SUBMITTED = "SELECT request, id, response_id FROM attempts WHERE state = 'sent' AND response_id IS NOT NULL"

ROUNDS = "SELECT request, raw FROM attempts WHERE state = 'round' ORDER BY id"

# The rounds of an answer that is complete now, or of a conversation that cannot go on.
CLOSE_ROUNDS = "UPDATE attempts SET state = 'answered' WHERE request = ? AND state = 'round'"

# Attempts that a dead process left behind, and that cannot be fetched: their end is not known, and they may have been paid.
COUNT_OPEN = """
UPDATE requests SET (attempts, maybe_paid) = (SELECT requests.attempts + COUNT(*), requests.maybe_paid + COUNT(*) FROM attempts
  WHERE request = requests.id AND state = 'sent' AND response_id IS NULL)
WHERE id IN (SELECT request FROM attempts WHERE state = 'sent' AND response_id IS NULL)
"""

OPEN_REQUESTS = """
SELECT id FROM requests WHERE again = 1 AND id IN (SELECT request FROM attempts WHERE state = 'sent' AND response_id IS NULL)
"""

# Of what the provider works on, what rows of this plan ask; the answers to all other questions nobody will fetch.
COUNT_AWAITED = """
SELECT COUNT(*) FROM attempts WHERE state = 'sent' AND response_id IS NOT NULL AND request IN (SELECT request FROM rows WHERE plan = ?)
"""

MAYBE_PAID_ROWS = """
SELECT DISTINCT row FROM attempts WHERE state = 'unknown' OR (state = 'sent' AND CASE WHEN response_id IS NULL THEN ?1 ELSE
  request NOT IN (SELECT request FROM rows WHERE plan = ?2 AND request IS NOT NULL) END) ORDER BY row LIMIT ?3
"""

COUNT_SENT = "SELECT SUM(response_id IS NULL), SUM(response_id IS NOT NULL) FROM attempts WHERE state = 'sent'"

# Attempts that ended as cancelled at the provider without a word on their tokens.
COUNT_CANCELLED = "SELECT COUNT(*) FROM attempts WHERE error_kind = 'cancelled' AND total_tokens IS NULL"

# Where a request is not sent twice, one that left and has no answer ends there.
CONCLUDE_OPEN = """
UPDATE requests SET status = 'unknown', again = 0, error_kind = 'killed', error_message = ?, provider = ?, finished_at = ?
WHERE again = 1 AND id IN (SELECT request FROM attempts WHERE state = 'sent' AND response_id IS NULL)
"""

CLOSE_OPEN = """
UPDATE attempts SET state = 'unknown', error_kind = 'killed', error_message = ? WHERE state = 'sent' AND response_id IS NULL
"""

# What adds up over all attempts of a request.
USAGE = (
    *("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "total_tokens"),
    *("cache_write_tokens", "vendor_cost", "searches"),
)

# An answer that stands is not overwritten by a later failure to get a better one.
CONCLUDE = """
UPDATE requests SET status = ?, again = ?, error_kind = ?, error_message = ?, provider = ?, finished_at = ?
WHERE id = ? AND status IN ('pending', 'failed', 'unknown')
"""

# What an attempt's cost depends on, in the order of the parameters of `cost` and `cost_note`: functions that know the prices.
FACTS = (
    *("state", "error_kind", "asked_model", "asked_tier", "model", "service_tier"),
    *("input_tokens", "cached_tokens", "output_tokens", "total_tokens", "cache_write_tokens", "searches", "sent_at"),
)
_FACTS = ", ".join(f"t.{name}" for name in FACTS)
COST, COST_NOTE = f"cost({_FACTS})", f"cost_note({_FACTS})"

# What the calls of a job came to, by model: the same job over all states of its input.
OBSERVED = """
SELECT asked_model, COUNT(*), AVG(output_tokens), AVG(1.0 * output_tokens * output_tokens), AVG(latency_s) FROM attempts
WHERE state IN ('answered', 'round') AND output_tokens IS NOT NULL AND session IN (
  SELECT s.id FROM sessions AS s JOIN plans AS p ON p.id = s.plan WHERE p.job_digest = ?) GROUP BY asked_model
"""

# What a row's result is made of; `results` finds it.
RESULT = (
    *("row", "sample", "status", "error_kind", "error_message", "provider", "model", "service_tier", "response_id"),
    *("refusal", "output", "tool_calls"),
    *("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "total_tokens", "attempts", "maybe_paid"),
    *("latency_s", "first_token_s", "finished_at", "sources", "searches", "images", "notes", "confidence", "phase"),
    *("reasoning_summary", "cache_write_tokens", "vendor_cost", "cost_usd", "cost_note", "raw", "shared_from"),
)

# A request counts an attempt when it has ended; those that are out are counted where they are read.
OUT = "CASE WHEN a.again THEN (SELECT COUNT(*) FROM attempts WHERE request = a.id AND state = 'sent') ELSE 0 END"

# What is told of an attempt, in the order of `ATTEMPTS`; its reply's body follows.
ATTEMPT = (
    *("attempt", "state", "sent_at", "latency_s", "status", "error_kind", "error_message", "http_status"),
    *(
        "request_id",
        "response_id",
        "asked_model",
        "asked_tier",
        "model",
        "service_tier",
        "total_tokens",
        "cost_usd",
        "cost_note",
    ),
)

# The attempts of a row's request, and of the one whose answer stands for it.
ATTEMPTS = f"""
SELECT t.id, t.state, t.sent_at, t.latency_s, t.status, t.error_kind, t.error_message, t.http_status,
  t.request_id, t.response_id, t.asked_model, t.asked_tier, t.model, t.service_tier, t.total_tokens, {COST}, {COST_NOTE}, t.raw
FROM attempts AS t WHERE t.request IN (
  SELECT COALESCE(q.answered_by, q.id) FROM rows AS r JOIN requests AS q ON q.id = r.request
  WHERE r.row = ?1 AND r.sample = ?2 AND r.plan = ?3
  UNION SELECT r.request FROM rows AS r WHERE r.row = ?1 AND r.sample = ?2 AND r.plan = ?3) ORDER BY t.id
"""  # noqa: S608 - our own names

# Of the rows from ?3 to ?4. A row that asks nothing lacks all its samples.
BY_STATUS = """
SELECT COALESCE(a.status, r.status, 'pending') AS status, COALESCE(r.error_kind, a.error_kind) AS kind,
  SUM(CASE WHEN r.request IS NULL THEN ?2 ELSE 1 END)
FROM rows AS r LEFT JOIN requests AS q ON q.id = r.request LEFT JOIN requests AS a ON a.id = COALESCE(q.answered_by, q.id)
WHERE r.plan = ?1 AND r.row BETWEEN ?3 AND ?4 GROUP BY 1, 2
"""

COUNT_ROWS = "SELECT COUNT(DISTINCT row) FROM rows WHERE plan = ?"

# What the rows of a plan carry: each request once, through its carrier. A round without a word on its tokens leaves the sum unknown.
CARRIED = """
SELECT SUM(a.input_tokens), SUM(a.cached_tokens), SUM(a.output_tokens), SUM(a.reasoning_tokens), SUM(a.total_tokens),
  SUM(a.attempts), SUM(a.maybe_paid), SUM(a.cache_write_tokens), SUM(a.vendor_cost),
  SUM(a.unreported > 0 AND a.status NOT IN ('pending', 'failed', 'unknown', 'cancelled'))
FROM rows AS r JOIN requests AS q ON q.id = r.request JOIN requests AS a ON a.id = COALESCE(q.answered_by, q.id)
WHERE r.plan = ? AND a.carrier = r.row
"""

_REHEARSED = """session IN (SELECT s.id FROM sessions AS s JOIN plans AS p ON p.id = s.plan
  WHERE p.simulated <> (SELECT simulated FROM plans ORDER BY id DESC LIMIT 1))"""
_HAS_REHEARSED = "(SELECT COUNT(DISTINCT simulated) > 1 FROM plans)"

# What a rehearsal with simulated answers has left in the journal of a real run is on nobody's bill.
BILLED = f"(NOT {_HAS_REHEARSED} OR NOT {{attempt}}.{_REHEARSED})"

SPENT = f"""
SELECT SUM(input_tokens), SUM(cached_tokens), SUM(output_tokens), SUM(reasoning_tokens), SUM(total_tokens),
  SUM(attempts) + (SELECT COUNT(*) FROM attempts AS t WHERE t.state = 'sent' AND {BILLED.format(attempt="t")}), SUM(maybe_paid),
  SUM(cache_write_tokens), SUM(vendor_cost)
FROM requests WHERE NOT {_HAS_REHEARSED} OR id NOT IN (SELECT request FROM attempts WHERE {_REHEARSED})
"""  # noqa: S608 - our own names

PART = 10**9
"""Costs are added up in two parts, of so many picodollars and of one: SQLite's whole numbers end at nine million dollars."""

AT_ONCE = 2**16
"""Rows or attempts that are sorted into groups together: in memory, of which there is less than there may be rows."""

LAST_ATTEMPT = "SELECT COALESCE(MAX(id), 0) FROM attempts"

# What the attempts from ?2 to ?3 have cost, apart for those that the plan's rows carry: their sum, how many have a known cost, and how
# many have none because their end, their tokens or their price is not known. One that is not finished belongs to none of these.
# ``usual`` is the SQL of what a usual attempt costs.
MONEY = f"""
WITH priced AS MATERIALIZED (
  SELECT COALESCE({{usual}}, {COST}) AS cost, t.state = 'unknown' AS ended_unknown,
    t.input_tokens IS NOT NULL AND t.output_tokens IS NOT NULL AS reported, EXISTS (
      SELECT 1 FROM requests AS a JOIN rows AS r ON r.row = a.carrier JOIN requests AS q ON q.id = r.request
      WHERE a.id = t.request AND r.plan = ?1 AND COALESCE(q.answered_by, q.id) = a.id) AS carried
  FROM attempts AS t WHERE t.id BETWEEN ?2 AND ?3 AND t.state <> 'sent' AND {BILLED.format(attempt="t")})
SELECT carried, SUM(cost / {PART}), SUM(cost % {PART}), COUNT(cost), SUM(cost IS NULL AND ended_unknown),
  SUM(cost IS NULL AND NOT ended_unknown AND NOT reported), SUM(cost IS NULL AND NOT ended_unknown AND reported)
FROM priced GROUP BY carried
"""  # noqa: S608 - our own names
