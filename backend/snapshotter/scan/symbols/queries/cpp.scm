; what C++ adds to c.scm

(class_specifier name: [
  (type_identifier) @name
  (_ name: (type_identifier) @name arguments: (_))] body: (_)) @definition.class
(struct_specifier name: (_ name: (type_identifier) @name arguments: (_)) body: (_)) @definition.struct
(namespace_definition name: (_) @name) @definition.module
(alias_declaration name: (type_identifier) @name) @definition.type
(concept_definition name: (identifier) @name) @definition.type

(function_declarator declarator: (field_identifier) @name) @definition.function
(function_declarator
  declarator: (_ scope: (namespace_identifier) name: (identifier) @name)) @definition.method
(function_definition declarator: [
  (_ declarator: [(identifier) (field_identifier) (destructor_name) (operator_name)] @name parameters: (_))
  (_ ["*" "&" "&&"] (_
    declarator: [(identifier) (field_identifier) (operator_name)] @name parameters: (_)))]) @definition.function
(field_declaration declarator: [
  (_ declarator: [(field_identifier) (operator_name)] @name parameters: (_))
  (_ ["&" "&&"] (_ declarator: [(field_identifier) (operator_name)] @name parameters: (_)))
  (_ "*" declarator: (_
    declarator: [(field_identifier) (operator_name)] @name parameters: (_)))]) @definition.method
(declaration declarator: [
  (_ declarator: [(identifier) (destructor_name) (operator_name)] @name parameters: (_))
  (_ ["&" "&&"] (_ declarator: [(identifier) (operator_name)] @name parameters: (_)))]) @definition.function

(function_definition declarator: [
  (_ declarator: (_ scope: (_) @owner
    name: [(identifier) (destructor_name) (operator_name)] @name) parameters: (_))
  (_ declarator: (_ scope: (_) @owner name: (_ scope: (_) @owner
    name: [(identifier) (destructor_name) (operator_name)] @name)) parameters: (_))
  (_ ["*" "&" "&&"] (_ declarator: (_ scope: (_) @owner
    name: [(identifier) (operator_name)] @name) parameters: (_)))]) @definition.method
