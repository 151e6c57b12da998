"""The params that OpenAI documents for each endpoint, and those that servers beside it take as well.

Source of OpenAI's names: the types of its Python SDK, openai 3.57.0 (2026-11-30; a test compares). The kinds and
ranges, and the names that servers beside it take, are from general knowledge of their references and were not read
again: so a warning is all that comes of them.
"""

from __future__ import annotations

from runner.job.project import CHAT, COMPLETIONS, EMBEDDINGS, MODERATIONS, RESPONSES
from runner.remotes.params import (
    ANYTHING,
    FLAG,
    INTEGER,
    LIST,
    MAP,
    PENALTIES,
    SAMPLING,
    TEXT,
    TOOLS,
    Params,
    each,
    either,
    number,
    one_of,
    whole,
)

_ACCOUNTING: Params = {
    **each(TEXT, "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "service_tier", "user"),
    **each(ANYTHING, "moderation", "prompt_cache_options"),
    "metadata": MAP,
    "store": FLAG,
}

OPENAI: dict[str, Params] = {
    CHAT: {
        **SAMPLING,
        **PENALTIES,
        **TOOLS,
        **_ACCOUNTING,
        **each(MAP, "audio", "prediction", "response_format", "web_search_options"),
        **each(whole(1), "max_completion_tokens", "max_tokens"),
        "function_call": either(TEXT, MAP),
        "functions": LIST,
        "logprobs": FLAG,
        "modalities": LIST,
        "n": whole(1, 128),
        "reasoning_effort": one_of("none", "minimal", "low", "medium", "high", "xhigh"),
        "top_logprobs": whole(0, 20),
        "verbosity": one_of("low", "medium", "high"),
    },
    RESPONSES: {
        **SAMPLING,
        **TOOLS,
        **_ACCOUNTING,
        **each(ANYTHING, "access_programs", "background_options", "image"),
        **each(MAP, "prompt", "reasoning", "text"),
        **each(LIST, "context_management", "include"),
        **each(TEXT, "instructions", "previous_response_id"),
        **each(whole(1), "max_output_tokens", "max_tool_calls"),
        "background": FLAG,
        "conversation": either(TEXT, MAP),
        "top_logprobs": whole(0, 20),
        "truncation": one_of("auto", "disabled"),
    },
    EMBEDDINGS: {"dimensions": whole(1), "encoding_format": one_of("float", "base64"), "user": TEXT},
    COMPLETIONS: {
        **SAMPLING,
        **PENALTIES,
        "best_of": whole(1, 20),
        "echo": FLAG,
        "logprobs": whole(0, 5),
        "max_tokens": whole(0),
        "n": whole(1, 128),
        "suffix": TEXT,
        "user": TEXT,
    },
    MODERATIONS: {},  # it takes none
}

_OF_SERVERS: Params = {
    # what the prompt is made of
    **each(FLAG, "add_generation_prompt", "add_special_tokens", "continue_final_message", "echo"),
    **each(MAP, "chat_template_kwargs", "mm_processor_kwargs"),
    "chat_template": TEXT,
    "documents": LIST,
    "truncate_prompt_tokens": whole(-1),
    # sampling
    **each(number(0), "length_penalty", "repetition_penalty"),
    **each(number(0, 1), "min_p", "typical_p"),
    **each(FLAG, "ignore_eos", "use_beam_search"),
    **each(LIST, "allowed_token_ids", "bad_words", "logits_processors", "stop_token_ids"),
    "best_of": whole(1),
    "min_tokens": whole(0),
    "top_k": whole(-1),
    # the form of the answer
    **each(TEXT, "guided_decoding_backend", "guided_grammar", "guided_regex", "guided_whitespace_pattern"),
    **each(either(MAP, TEXT), "guided_json", "structural_tag"),
    "guided_choice": LIST,
    "structured_outputs": MAP,
    # reasoning and search
    **each(FLAG, "enable_search", "enable_thinking", "include_reasoning"),
    **each(LIST, "exclude_domains", "include_domains"),
    "reasoning_format": TEXT,
    "search_options": MAP,
    "thinking_budget": whole(0),
    # what comes back, and when
    **each(FLAG, "include_stop_str_in_output", "return_token_ids"),
    **each(FLAG, "skip_special_tokens", "spaces_between_special_tokens"),
    "priority": INTEGER,
    "prompt_logprobs": whole(-1),
    "vllm_xargs": MAP,
}
_WIDER: dict[str, Params] = {  # of params that OpenAI has too
    CHAT: {"logprobs": either(FLAG, whole(0)), "max_tokens": whole(0), "n": whole(1), "reasoning_effort": TEXT},
    RESPONSES: {},
    EMBEDDINGS: {"input_type": TEXT, "normalize": FLAG},
    COMPLETIONS: {"logprobs": either(FLAG, whole(0)), "n": whole(1)},
    MODERATIONS: {},
}
LOOK_ALIKE: dict[str, Params] = {
    endpoint: {**known, **_OF_SERVERS, **_WIDER[endpoint]} for endpoint, known in OPENAI.items()
}
