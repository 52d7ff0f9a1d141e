{#-
  Purpose: the resolver's name from wherever a file keeps it (contract, section 1).
  Arguments: source, resolver_name, metadata: VARCHAR expressions; metadata holds JSON or anything.
  Returns: SQL for the first that is not blank of source, resolver_name and the text at
    $.resolver_name (a list or a number there is no name);
    NULL where none says it.
  Example: (NULL, ' ', '{"resolver_name": "arxiv"}') gives arxiv; (NULL, NULL, 'oops') gives NULL.
-#}
{%- macro resolver_name(source, resolver_name, metadata) -%}
    coalesce(
        {{ non_blank(source) }},
        {{ non_blank(resolver_name) }},
        case
            when json_valid({{ metadata }})
                then case
                    when json_type({{ metadata }}, '$.resolver_name') = 'VARCHAR'
                        then {{ non_blank("json_extract_string(" ~ metadata ~ ", '$.resolver_name')") }}
                end
        end
    )
{%- endmacro -%}
