"""The vendor's own client works with the simulator and notices nothing."""

from __future__ import annotations

import openai
import pytest
from pydantic import BaseModel


class Label(BaseModel):
    """A structured answer."""

    caption: str
    score: float
    tags: list[str]


def test_text(provider, sdk):
    """A text question is answered, with usage."""
    response = sdk(provider).responses.create(model="gpt-5", instructions="Be short.", input="Hello there")

    assert response.output_text.startswith('A simulated answer to "Hello there"')
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
    assert response._request_id.startswith("req_")


def test_an_image_and_a_file_in_one_message(provider, sdk, picture):
    """Both are seen, in their order."""
    parts = [
        {"type": "input_text", "text": "Compare."},
        {"type": "input_image", "image_url": picture("navy", (20, 10)), "detail": "low"},
        {"type": "input_file", "file_url": "https://example.com/report.pdf"},
    ]
    response = sdk(provider).responses.create(model="gpt-5", input=[{"role": "user", "content": parts}])

    assert response.output_text.startswith("A 20x10 PNG, mostly navy; a file named report.pdf")


def test_an_image_as_data_uri(provider, sdk, shown, picture):
    """An image is seen."""
    response = sdk(provider).responses.create(**shown(picture("navy", (20, 10))))

    assert response.output_text.startswith("A 20x10 PNG, mostly navy")


def test_a_file(provider, sdk):
    """A file is told by kind, name and size."""
    part = {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjQK"}
    response = sdk(provider).responses.create(model="gpt-5", input=[{"role": "user", "content": [part]}])

    assert response.output_text.startswith("A PDF file named a.pdf of 9 bytes")


def test_structured_output_by_a_model(provider, sdk):
    """`responses.parse` gets an instance of the asked model."""
    response = sdk(provider).responses.parse(model="gpt-5", input="Label this.", text_format=Label)

    assert isinstance(response.output_parsed, Label)
    assert 0 <= response.output_parsed.score <= 1


def test_structured_output_by_a_format(provider, sdk):
    """`text.format` gives text that fits the schema."""
    form = {"type": "json_schema", "name": "label", "schema": Label.model_json_schema()}
    response = sdk(provider).responses.create(model="gpt-5", input="Label this.", text={"format": form})

    assert Label.model_validate_json(response.output_text)


def test_a_stream_adds_up_to_the_final_response(provider, sdk):
    """The deltas joined are the text of the final response, which has the usage."""
    with sdk(provider).responses.stream(model="gpt-5", input="Hello there", reasoning={"effort": "low"}) as stream:
        deltas = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        final = stream.get_final_response()

    assert deltas == final.output_text != ""
    assert final.usage.output_tokens_details.reasoning_tokens == 64


def test_a_streamed_function_call(provider, sdk):
    """The arguments arrive in deltas and end whole."""
    tool = {"type": "function", "name": "save", "parameters": Label.model_json_schema(), "strict": False}
    asked = {"model": "gpt-5", "input": "Label.", "tools": [tool], "tool_choice": "required"}
    with sdk(provider).responses.stream(**asked) as stream:
        deltas = "".join(event.delta for event in stream if event.type == "response.function_call_arguments.delta")
        final = stream.get_final_response()

    assert final.output[0].arguments == deltas
    assert Label.model_validate_json(deltas)


@pytest.mark.parametrize("stateful", [False, True])
def test_the_second_turn_of_a_function_tool(provider, sdk, stateful):
    """The output of a call is quoted, with the history resent or kept by the provider."""
    tool = {"type": "function", "name": "price", "parameters": {"type": "object", "properties": {}}, "strict": False}
    question = [{"role": "user", "content": "What does it cost?"}]
    client = sdk(provider)
    first = client.responses.create(model="gpt-5", input=question, tools=[tool], tool_choice="required")
    output = {"type": "function_call_output", "call_id": first.output[0].call_id, "output": "19 EUR"}
    if stateful:
        second = client.responses.create(model="gpt-5", input=[output], previous_response_id=first.id)
    else:
        second = client.responses.create(model="gpt-5", input=[*question, *first.output, output])

    assert '"19 EUR"' in second.output_text


def test_the_second_turn_without_anything_stored(provider, sdk):
    """The sealed thoughts go back with the call; nothing is kept in between."""
    tool = {"type": "function", "name": "price", "parameters": {"type": "object", "properties": {}}, "strict": False}
    question = [{"role": "user", "content": "What does it cost? Use price."}]
    settings = {
        "model": "gpt-5",
        "tools": [tool],
        "store": False,
        "reasoning": {"effort": "low"},
        "include": ["reasoning.encrypted_content"],
    }
    client = sdk(provider)
    first = client.responses.create(input=question, **settings)
    call = first.output[1]
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "19 EUR"}
    second = client.responses.create(input=[*question, *first.output, output], **settings)

    assert [item.type for item in first.output] == ["reasoning", "function_call"]
    assert '"19 EUR"' in second.output_text
    bare = first.output[0].model_copy(update={"encrypted_content": None})
    with pytest.raises(openai.NotFoundError, match="Items are not persisted"):
        client.responses.create(input=[*question, bare, call, output], **settings)


def test_sources_of_a_web_search(provider, sdk):
    """The client reads the search, its sources and the citations."""
    response = sdk(provider).responses.create(
        model="gpt-5",
        input="Is tea healthy?",
        tools=[{"type": "web_search"}],
        include=["web_search_call.action.sources"],
    )
    search, message = response.output
    cited = [note.url for note in message.content[0].annotations if note.type == "url_citation"]

    assert [source.url for source in search.action.sources] == cited != []


def test_a_conversation_is_compacted(provider, sdk):
    """The compacted items are the next request's input."""
    client = sdk(provider)
    history = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Good day"}]
    compacted = client.responses.compact(model="gpt-5", input=history)
    items = [item.model_dump(exclude_none=True, warnings=False) for item in compacted.output]

    assert [item.type for item in compacted.output] == ["message", "compaction"]
    assert client.responses.create(model="gpt-5", input=[*items, history[0]]).output_text


def test_a_background_stream_is_resumed(provider, sdk):
    """What was missed comes again under its numbers, up to the end."""
    client = sdk(provider)
    begun = list(client.responses.create(model="gpt-5", input="Hello there", background=True, stream=True))
    seen = begun[4].sequence_number
    rest = list(client.responses.retrieve(begun[0].response.id, stream=True, starting_after=seen))

    assert [event.sequence_number for event in rest] == list(range(seen + 1, len(begun)))
    assert rest[-1].response.output_text == begun[-1].response.output_text != ""


def test_a_background_response_must_be_stored(provider, sdk):
    """The client's own error for it."""
    with pytest.raises(openai.BadRequestError, match="must be stored"):
        sdk(provider).responses.create(model="gpt-5", input="Hello", background=True, store=False)


def test_a_background_response_ends_completed(provider, sdk):
    """Queued first, completed when fetched after the latency has passed."""
    client = sdk(provider)
    made = client.responses.create(model="gpt-5", input="Hello there", background=True)
    fetched = client.responses.retrieve(made.id)

    assert (made.status, fetched.status) == ("queued", "completed")
    assert fetched.output_text.startswith("A simulated answer")


def test_a_background_response_can_be_cancelled(play, sdk):
    """Cancelled while it waits, it stays so; the answer never comes."""
    client = sdk(play({"latency_s": 3600}))
    made = client.responses.create(model="gpt-5", input="Hello there", background=True)

    assert made.status == "queued"
    assert client.responses.cancel(made.id).status == "cancelled"
    assert client.responses.cancel(made.id).status == "cancelled"
    assert client.responses.retrieve(made.id).output == []


def test_a_stored_response_is_listed_and_deleted(provider, sdk):
    """The input items are listed; after deletion the id is unknown."""
    client = sdk(provider)
    made = client.responses.create(model="gpt-5", input="Hello there")

    assert next(iter(client.responses.input_items.list(made.id))).content[0].text == "Hello there"
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


def test_what_is_not_stored_cannot_be_fetched(provider, sdk):
    """`store: false` keeps nothing."""
    client = sdk(provider)
    made = client.responses.create(model="gpt-5", input="Hello there", store=False)

    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


def test_input_tokens_are_those_of_the_answer(provider, sdk):
    """Counting beforehand gives the number the answer reports."""
    client = sdk(provider)
    asked = {"model": "gpt-5", "input": "Hello there, you", "instructions": "Be short."}

    assert client.responses.input_tokens.count(**asked).input_tokens == (
        client.responses.create(**asked).usage.input_tokens
    )


def test_models_are_listed(provider, sdk):
    """There is a list of models."""
    assert "gpt-5" in [model.id for model in sdk(provider).models.list()]


@pytest.mark.parametrize(
    ("fault", "error", "code"),
    [
        ("bad_request", openai.BadRequestError, "invalid_value"),
        ("unauthorized", openai.AuthenticationError, "invalid_api_key"),
        ("forbidden", openai.PermissionDeniedError, "unsupported_country_region_territory"),
        ("not_found", openai.NotFoundError, "model_not_found"),
        ("rate_limit", openai.RateLimitError, "rate_limit_exceeded"),
        ("quota", openai.RateLimitError, "insufficient_quota"),
        ("server_error", openai.InternalServerError, "server_error"),
        ("overloaded", openai.InternalServerError, "server_is_overloaded"),
    ],
)
def test_errors_are_the_clients_typed_errors(play, sdk, fault, error, code):
    """Each refusal is raised as the class the client keeps for it."""
    with pytest.raises(error) as caught:
        sdk(play({"faults": [{"fault": fault}]})).responses.create(model="gpt-5", input="Hello there")

    assert caught.value.code == code


def test_the_clients_own_retries_succeed_after_a_passing_fault(play, sdk):
    """A fault that strikes each body once is healed by one retry."""
    simulator = play({"faults": [{"fault": "rate_limit", "retry_after_ms": 1, "times": 1}]})

    assert sdk(simulator, max_retries=1).responses.create(model="gpt-5", input="Hello there").output_text
    assert simulator.stats.requests == 2


@pytest.mark.anyio
async def test_many_concurrent_requests_get_their_own_answers(provider):
    """Under concurrency each answer quotes its own question."""
    import anyio

    async with openai.AsyncOpenAI(base_url=provider.base_url(), api_key="test", max_retries=0) as client:
        texts: dict[int, str] = {}

        async def one(n: int) -> None:
            texts[n] = (await client.responses.create(model="gpt-5", input=f"Row number {n}")).output_text

        async with anyio.create_task_group() as group:
            for n in range(50):
                group.start_soon(one, n)

    assert all(f'"Row number {n}"' in texts[n] for n in range(50))
    assert provider.stats.executed == provider.stats.answered == 50
