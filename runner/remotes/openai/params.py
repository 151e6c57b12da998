"""The params that OpenAI documents for each endpoint, and those that servers beside it take as well.

Source of OpenAI's names: the types of its Python SDK, openai 3.57.0 (2026-11-30; a test compares). The kinds and
ranges, and the names that servers beside it take, are from general knowledge of their references and were not read
again: so a warning is all that comes of them.
"""

from __future__ import annotations

from runner.job.project import ENDPOINTS
from runner.remotes.params import ANYTHING, FLAG, INTEGER, LIST, MAP, TEXT, TEXTS, Params, either, number, one_of, whole

_CHAT, _RESPONSES, _EMBEDDINGS, _COMPLETIONS = ENDPOINTS
_SAMPLING: Params = {"temperature": number(0, 2), "top_p": number(0, 1)}
_PENALTIES: Params = {
    "frequency_penalty": number(-2, 2),
    "presence_penalty": number(-2, 2),
    "logit_bias": MAP,
    "seed": INTEGER,
    "stop": TEXTS,
}
_ACCOUNTING: Params = {
    "metadata": MAP,
    "moderation": ANYTHING,
    "prompt_cache_key": TEXT,
    "prompt_cache_options": ANYTHING,
    "prompt_cache_retention": TEXT,
    "safety_identifier": TEXT,
    "service_tier": TEXT,
    "store": FLAG,
    "user": TEXT,
}
_TOOLS: Params = {"parallel_tool_calls": FLAG, "tool_choice": either(TEXT, MAP), "tools": LIST}

OPENAI: dict[str, Params] = {
    _CHAT: {
        **_SAMPLING,
        **_PENALTIES,
        **_ACCOUNTING,
        **_TOOLS,
        "audio": MAP,
        "function_call": either(TEXT, MAP),
        "functions": LIST,
        "logprobs": FLAG,
        "max_completion_tokens": whole(1),
        "max_tokens": whole(1),
        "modalities": LIST,
        "n": whole(1, 128),
        "prediction": MAP,
        "reasoning_effort": one_of("none", "minimal", "low", "medium", "high", "xhigh"),
        "response_format": MAP,
        "top_logprobs": whole(0, 20),
        "verbosity": one_of("low", "medium", "high"),
        "web_search_options": MAP,
    },
    _RESPONSES: {
        "access_programs": ANYTHING,
        "background_options": ANYTHING,
        "image": ANYTHING,
        "prompt": MAP,
        **_SAMPLING,
        **_ACCOUNTING,
        **_TOOLS,
        "background": FLAG,
        "context_management": LIST,
        "conversation": either(TEXT, MAP),
        "include": LIST,
        "instructions": TEXT,
        "max_output_tokens": whole(1),
        "max_tool_calls": whole(1),
        "previous_response_id": TEXT,
        "reasoning": MAP,
        "text": MAP,
        "top_logprobs": whole(0, 20),
        "truncation": one_of("auto", "disabled"),
    },
    _EMBEDDINGS: {"dimensions": whole(1), "encoding_format": one_of("float", "base64"), "user": TEXT},
    _COMPLETIONS: {
        **_SAMPLING,
        **_PENALTIES,
        "best_of": whole(1, 20),
        "echo": FLAG,
        "logprobs": whole(0, 5),
        "max_tokens": whole(0),
        "n": whole(1, 128),
        "suffix": TEXT,
        "user": TEXT,
    },
}

_OF_SERVERS: Params = {
    "add_generation_prompt": FLAG,
    "add_special_tokens": FLAG,
    "allowed_token_ids": LIST,
    "bad_words": LIST,
    "best_of": whole(1),
    "chat_template": TEXT,
    "chat_template_kwargs": MAP,
    "continue_final_message": FLAG,
    "documents": LIST,
    "echo": FLAG,
    "enable_search": FLAG,
    "enable_thinking": FLAG,
    "exclude_domains": LIST,
    "guided_choice": LIST,
    "guided_decoding_backend": TEXT,
    "guided_grammar": TEXT,
    "guided_json": either(MAP, TEXT),
    "guided_regex": TEXT,
    "guided_whitespace_pattern": TEXT,
    "ignore_eos": FLAG,
    "include_domains": LIST,
    "include_reasoning": FLAG,
    "include_stop_str_in_output": FLAG,
    "length_penalty": number(0),
    "logits_processors": LIST,
    "min_p": number(0, 1),
    "min_tokens": whole(0),
    "mm_processor_kwargs": MAP,
    "priority": INTEGER,
    "prompt_logprobs": whole(-1),
    "reasoning_format": TEXT,
    "repetition_penalty": number(0),
    "return_token_ids": FLAG,
    "search_options": MAP,
    "skip_special_tokens": FLAG,
    "spaces_between_special_tokens": FLAG,
    "stop_token_ids": LIST,
    "structural_tag": either(MAP, TEXT),
    "structured_outputs": MAP,
    "thinking_budget": whole(0),
    "top_k": whole(-1),
    "truncate_prompt_tokens": whole(-1),
    "typical_p": number(0, 1),
    "use_beam_search": FLAG,
    "vllm_xargs": MAP,
}
_WIDER: dict[str, Params] = {  # of params that OpenAI has too
    _CHAT: {"logprobs": either(FLAG, whole(0)), "max_tokens": whole(0), "n": whole(1), "reasoning_effort": TEXT},
    _RESPONSES: {},
    _EMBEDDINGS: {"input_type": TEXT, "normalize": FLAG},
    _COMPLETIONS: {"logprobs": either(FLAG, whole(0)), "n": whole(1)},
}
LOOK_ALIKE: dict[str, Params] = {
    endpoint: {**known, **_OF_SERVERS, **_WIDER[endpoint]} for endpoint, known in OPENAI.items()
}
