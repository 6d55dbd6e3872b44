; what C++ adds to c.scm

(class_specifier name: (type_identifier) @name body: (_)) @definition.class
(class_specifier name: (template_type name: (type_identifier) @name) body: (_)) @definition.class
(struct_specifier name: (template_type name: (type_identifier) @name) body: (_)) @definition.struct
(namespace_definition name: (_) @name) @definition.module
(alias_declaration name: (type_identifier) @name) @definition.type
(concept_definition name: (identifier) @name) @definition.type

(function_definition declarator: [
  (function_declarator declarator: [(identifier) (field_identifier) (destructor_name) (operator_name)] @name)
  (reference_declarator (function_declarator
    declarator: [(identifier) (field_identifier) (operator_name)] @name))
  (pointer_declarator (function_declarator
    declarator: [(identifier) (field_identifier) (operator_name)] @name))]) @definition.function
(field_declaration declarator: [
  (function_declarator declarator: [(field_identifier) (operator_name)] @name)
  (reference_declarator (function_declarator declarator: [(field_identifier) (operator_name)] @name))
  (pointer_declarator declarator: (function_declarator
    declarator: [(field_identifier) (operator_name)] @name))]) @definition.method
(declaration declarator: (function_declarator
  declarator: [(identifier) (destructor_name) (operator_name)] @name)) @definition.function
(declaration declarator: (reference_declarator (function_declarator
  declarator: [(identifier) (operator_name)] @name))) @definition.function

(function_definition declarator: [
  (function_declarator declarator: (qualified_identifier scope: (_) @owner
    name: [(identifier) (destructor_name) (operator_name)] @name))
  (reference_declarator (function_declarator declarator: (qualified_identifier scope: (_) @owner
    name: [(identifier) (operator_name)] @name)))
  (pointer_declarator (function_declarator declarator: (qualified_identifier scope: (_) @owner
    name: [(identifier) (operator_name)] @name)))]) @definition.method
(function_definition declarator: (function_declarator declarator: (qualified_identifier scope: (_) @owner
  name: (qualified_identifier scope: (_) @owner
    name: [(identifier) (destructor_name) (operator_name)] @name)))) @definition.method

(class_specifier name: (type_identifier) @name !body) @nothing
