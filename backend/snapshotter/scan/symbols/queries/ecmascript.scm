; what only the JavaScript grammar has

(field_definition property: (_) @name) @definition.field
