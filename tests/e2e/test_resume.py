"""x"""
from __future__ import annotations

def test_append(bench, provider):
    """x"""
    job = bench(provider, rows=1000)
    f = job.run()
    print(f)
    assert len(provider.ledger.requests()) == 1000
    f = job.run()
    print(f)
    assert len(provider.ledger.requests()) == 1000
    assert provider.ledger.tokens() == f.usage.total_tokens
