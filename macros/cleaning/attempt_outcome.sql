{#-
  Purpose: the outcome of a resolver try. The crawler's own table `attempts` says what came back,
    in words of its own; the others say the outcome.
  Arguments: outcome, reason: VARCHAR expressions; status, the HTTP status; family, which of a
    file's tables the row is from (2 is `attempts`).
  Returns: SQL for the outcome in lower case; NULL where none is said.
  Example: ('PDF', NULL, 200, 2) gives success; ('http_error', NULL, 503, 2) gives retryable;
    ('no_pdf', NULL, NULL, 0) gives no_pdf.
-#}
{%- macro attempt_outcome(outcome, reason, status, family) -%}
    case
        when coalesce({{ family }}, 0) <> 2 or {{ non_blank(outcome) }} is null
            then {{ lower_word(outcome) }}
        when {{ lower_word(outcome) }} in ('pdf', 'html', 'xml', 'cached') then 'success'
        when {{ lower_word(outcome) }} = 'skipped' then 'skipped'
        when {{ lower_word(reason) }} = 'request_exception' then 'error'
        when {{ lower_word(outcome) }} in ('miss', 'unknown') then 'no_pdf'
        when {{ lower_word(outcome) }} <> 'http_error' then 'error'
        when {{ status }} in (408, 425, 429) or {{ status }} between 500 and 599 then 'retryable'
        else 'nonretryable'
    end
{%- endmacro -%}
