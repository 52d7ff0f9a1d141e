{#-
  Purpose: put a model into the schema its folder names, without the target's schema as a prefix,
    so that relations have the same names in the warehouse and when run directly over a file.
  Arguments: custom_schema_name, the folder's +schema or none; node, the model.
  Returns: the schema's name.
  Example: ('marts', model) gives marts; (none, model) gives the target's schema.
-#}
{%- macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name | trim if custom_schema_name is not none else target.schema }}
{%- endmacro -%}
