"""PROTOCOL.md, the JSON Schema and the TypeScript types say what `messages` says."""

from __future__ import annotations

import json
from typing import get_args

import jsonschema
import msgspec

from overlay import messages, publish


def test_the_published_documents_are_in_step() -> None:
    assert publish.out_of_step() == [], "run `python -m overlay.publish`"


def test_every_frame_and_code_is_documented() -> None:
    text = publish.protocol_md()
    for union in publish.UNIONS.values():
        for kind in get_args(union):
            assert f"### `{kind.__struct_config__.tag}`" in text
            assert kind.__doc__, f"{kind.__name__} has no docstring"
    codes = {code for name, code in vars(messages.CloseCode).items() if name.isupper()}
    assert codes == set(messages.CLOSE_MEANINGS)


def test_the_schema_is_valid_and_knows_frames_from_garbage() -> None:
    schema = json.loads(publish.json_schema())
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    say = messages.Say(id="c1", text="hi")
    assert validator.is_valid(msgspec.to_builtins(say))
    assert validator.is_valid(msgspec.to_builtins(messages.Ack(id="c1", n=4)))
    assert not validator.is_valid({"type": "say", "id": "c1", "text": ""})
    assert not validator.is_valid({"type": "say", "id": "c1", "text": "hi", "colour": "red"})
    assert not validator.is_valid({"type": "shout", "id": "c1"})


def test_typescript_tells_optional_fields_from_required_ones() -> None:
    text = publish.typescript()
    assert "export interface BuyLine {\n  variant_id: string;\n  quantity: number;\n" in text
    assert "  snapshot?: Snapshot | null;" in text
    assert "  muted: Record<string, number | null>;" in text
