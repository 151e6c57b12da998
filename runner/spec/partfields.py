"""The parts of a message's content as the JSON Schema shows them. `parts` checks them, with words of their own."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from runner.fields import Fields, Maybe, Text

_PATH = "a template of a path below the project root, which is sent as base64, or of an https URL"
_MEDIA = "of the file, where its content does not tell it"


class TextPartSpec(Fields):
    """Text."""

    text: Text = Field(description="a template of what is said")


class ImagePartSpec(Fields):
    """A picture."""

    image: Text = Field(description=_PATH)
    detail: Maybe[Literal["auto", "low", "high", "original"]] = Field(
        default=None, description="how closely it is looked at, where the provider has that"
    )
    media_type: Maybe[Text] = Field(default=None, description=_MEDIA)


class FilePartSpec(Fields):
    """A document."""

    file: Text = Field(description=_PATH)
    media_type: Maybe[Text] = Field(default=None, description=_MEDIA)


class AudioPartSpec(Fields):
    """A recording that is a part of a message. (Recordings to be written down are `audio` of a job.)"""

    audio: Text = Field(description="a template of a path below the project root, which is sent as base64")
    media_type: Maybe[Text] = Field(default=None, description=_MEDIA)


class NativePartSpec(Fields):
    """A part as the endpoint has it. It is sent as it stands; texts in it are templates."""

    model_config = ConfigDict(extra="allow")
    type: Text = Field(description="such as image_url")


AnyPart = TextPartSpec | ImagePartSpec | FilePartSpec | AudioPartSpec | NativePartSpec
