"""A script is read strictly: what it says wrongly is named."""

from __future__ import annotations

import pytest

from pipeline.simulator import ScriptError, Simulator, load_script
from pipeline.simulator.script import Latency, read_script

WRONG = [
    ({"sead": 1}, "unknown key 'sead'"),
    ({"seed": "x"}, "seed: 'x' is not a whole number"),
    ({"latency_s": -1}, "latency_s: -1 is not a number of 0 or more"),
    ({"latency_s": {"median": 2, "p95": 1}}, "p95 .* is below the median"),
    ({"limits": {"rpm": 1}}, "limits: unknown key 'rpm'"),
    ({"limits": {"requests_per_minute": 0}}, "limits.requests_per_minute: 0 is not above 0"),
    ({"limits": {"headers": "maybe"}}, "limits.headers: 'maybe' is none of told"),
    ({"faults": [{"fault": "stall", "headers": 1}]}, "headers: a mapping is needed"),
    ({"shape": "round"}, "shape: 'round' is none of documented, "),
    ({"faults": {}}, "faults: a list is needed, not dict"),
    ({"faults": [{"fault": "flood"}]}, r"faults\[0\].fault: 'flood' is none of rate_limit, "),
    ({"faults": [{"fault": "stall", "often": 2}]}, r"faults\[0\]: unknown key 'often'"),
    ({"faults": [{"fault": "stall", "probability": 2}]}, "not between 0 and 1"),
    ({"faults": [{"fault": "overloaded", "status": 200}]}, "200 is no error status"),
    ({"faults": [{"fault": "stall", "on": "sleep"}]}, "'sleep' is none of create, "),
    ({"api_key": {"acme": "x"}}, "api_key: unknown key 'acme'"),
    ({"cache": "yes"}, "cache: 'yes' is neither true nor false"),
    ({"background": 1}, "background: a mapping is needed"),
    ({"background": {"poll": 1}}, "background: unknown key 'poll'"),
    ({"background": {"polls": 1.5}}, "background.polls: 1.5 is not a whole number"),
    ({"background": {"kept_s": -1}}, "background.kept_s: -1 is not a number of 0 or more"),
    ({"variation": 1}, "variation: 1 is neither true nor false"),
    ({"input_tokens": {"perturb": 1}}, "input_tokens.perturb: 1 is not below 1"),
    ({"input_tokens": {"rules": "mine"}}, "input_tokens.rules: 'mine' is none of own, published"),
    ({"input_tokens": 3}, "input_tokens: a mapping is needed"),
    ({"output_tokens": {"p95": 3}}, "output_tokens.median: 0 is not above 0"),
    ({"output_tokens": {"median": 5, "p95": 3}}, "p95 .3. is below the median .5."),
    ({"output_tokens": {"median": 5, "sigma": 1}}, "output_tokens: unknown key 'sigma'"),
    ({"service_tiers": "flex"}, "service_tiers: a mapping is needed"),
    ({"service_tiers": {"slow": "flex"}}, "service_tiers: unknown key 'slow'"),
    ({"service_tiers": {"flex": "auto"}}, "service_tiers.flex: 'auto' is none of default, "),
    ({"tool_rounds": "never"}, "tool_rounds: 'never' is not a whole number"),
    ({"tool_rounds": -1}, "tool_rounds: -1 is neither 0 or more nor always"),
]


@pytest.mark.parametrize(("script", "message"), WRONG)
def test_a_wrong_script_is_refused_with_its_place(script, message):
    """The error names the place and the fault, before anything listens."""
    with pytest.raises(ScriptError, match=message):
        Simulator(script=script)


def test_a_script_is_loaded_from_yaml_or_json(tmp_path):
    """Both notations give the same mapping; a wrong file is refused when it is loaded."""
    yaml, json, bad = (tmp_path / name for name in ("a.yaml", "a.json", "b.yaml"))
    yaml.write_text("seed: 2\nfaults:\n  - {every: 50, fault: server_error}\n")
    json.write_text('{"seed": 2, "faults": [{"every": 50, "fault": "server_error"}]}')

    assert load_script(yaml) == load_script(json)
    for text, message in (("seed: [", "not YAML"), ("- 1", "a script is a mapping"), ("seed: x", "whole number")):
        bad.write_text(text)
        with pytest.raises(ScriptError, match=message):
            load_script(bad)
    bad.write_text("")
    assert load_script(bad) == {}


def test_nothing_said_is_a_provider_without_limits_or_faults():
    """An empty script is the plain provider."""
    script = read_script(None)

    assert (script.limits, script.faults, script.shape, script.latency) == (None, (), "documented", Latency())


def test_latency_has_the_median_and_the_p95_asked_for():
    """Half of the waits lie below the median and a twentieth above the p95; each request has its own."""
    latency = Latency(0.8, 3.0)
    waits = sorted(latency.draw(0, b"%d" % n) for n in range(4000))

    assert 0.75 < waits[2000] < 0.85
    assert 2.7 < waits[3800] < 3.3
    assert latency.draw(0, b"1") == latency.draw(0, b"1") != latency.draw(1, b"1")
