"""Special tokens and chat templates of the two kinds."""

from __future__ import annotations

LLAMA_SPECIALS = ("<|begin_of_text|>", "<|end_of_text|>", "<|im_start|>", "<|im_end|>")

CHATML = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)

HARMONY_SPECIALS = (
    "<|startoftext|>",
    "<|endoftext|>",
    "<|reserved_200000|>",
    "<|reserved_200001|>",
    "<|return|>",
    "<|constrain|>",
    "<|reserved_200004|>",
    "<|channel|>",
    "<|start|>",
    "<|end|>",
    "<|message|>",
    "<|reserved_200009|>",
    "<|reserved_200010|>",
    "<|reserved_200011|>",
    "<|call|>",
    *(f"<|reserved_{number}|>" for number in range(200013, 200018)),
    "<|endofprompt|>",
)
"""Order and names as at the end of the o200k_harmony vocabulary. Engines look for all of return,
call and end: without them the answer stops after the thinking."""

HARMONY_BRIDGE = "<|start|>assistant<|channel|>final<|message|>"
"""After thinking the answer starts with this one plain token. As the special tokens it stands for,
the second <|channel|> would lead back to `analysis`: a successor depends on the last token only."""

HARMONY = (
    "{%- set effort = reasoning_effort if reasoning_effort is defined else 'medium' -%}"
    "{{- '<|start|>system<|message|>Tiny test model.\\n\\nReasoning: ' + effort + "
    "'\\n\\n# Valid channels: analysis, commentary, final.<|end|>' -}}"
    "{%- for message in messages -%}"
    "{%- if message.role == 'system' or message.role == 'developer' -%}"
    "{{- '<|start|>developer<|message|># Instructions\\n\\n' + message.content + '<|end|>' -}}"
    "{%- elif message.role == 'assistant' -%}"
    "{{- '<|start|>assistant<|channel|>final<|message|>' + message.content + '<|end|>' -}}"
    "{%- else -%}"
    "{{- '<|start|>user<|message|>' + message.content + '<|end|>' -}}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|start|>assistant' -}}{%- endif -%}"
)
