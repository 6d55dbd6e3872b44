"""How the languages of the scan's benchmark tree are written: templates by the suffix of a file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Syntax:
    """How a language writes things. `{C}` is a type, `{f}` a function, `{a}` `{b}` `{c}` are names, `{i}` a number,
    `{w}` words and `{m}` a module."""

    load: str
    doc: str
    open_type: str
    close_type: str
    function: str
    close: str
    when: str
    loop: str
    call: str
    text: str
    give: str
    comment: str = "//"


_C = Syntax(
    load='#include "{m}.h"',
    doc="/* {w} */",
    open_type="struct {C} {{ int {a}; char *{b}; }};",
    close_type="",
    function="static int {f}(struct {C} *{a}, int {b}, int {c})\n{{",
    close="}}",
    when="if ({b} > {i}) {{",
    loop="for (int {c} = 0; {c} < {b}; {c}++) {{",
    call="{b} = {f}({a}, {b} + {i}, {c});",
    text='log_line("{w}", {b});',
    give="return {b};",
)
_TS = Syntax(
    load='import {{ {f} }} from "./{m}";',
    doc="/** {w} */",
    open_type="export class {C} {{",
    close_type="}}",
    function="{f}({a}: string, {b}: number, {c}: Map<string, number>): number {{",
    close="}}",
    when="if ({b} > {i} && {a}.length) {{",
    loop="for (const entry of {c}.values()) {{",
    call="{b} += this.{f}({a}, {i}, {c});",
    text='console.log("{w}", {b});',
    give="return {b};",
)
_JAVA = Syntax(
    load="import org.example.{m}.{C};",
    doc="/** {w} */",
    open_type="final class {C} {{",
    close_type="}}",
    function="public int {f}(String {a}, int {b}, List<Integer> {c}) {{",
    close="}}",
    when="if ({b} > {i} && !{a}.isEmpty()) {{",
    loop="for (int entry : {c}) {{",
    call="{b} += this.{f}({a}, {i}, {c});",
    text='logger.info("{w}" + {b});',
    give="return {b};",
)
SYNTAX = {
    "py": Syntax(
        load="from {m} import {f}",
        doc="# {w}",
        open_type="class {C}:",
        close_type="",
        function='def {f}(self, {a}, {b}: int, {c}=None):\n    """{w}"""',
        close="",
        when="if {b} > {i} and {a}:",
        loop="for entry in {a}.{f}({b}):",
        call="{b} += self.{f}({a}, {i}, {c}={c})",
        text='log.info("{w}", {b})',
        give="return {b}",
        comment="#",
    ),
    "ts": _TS,
    "js": Syntax(**{**vars(_TS), "function": "{f}({a}, {b}, {c}) {{"}),
    "go": Syntax(
        load='import "example.org/big/{m}"',
        doc="// {C} {w}",
        open_type="type {C} struct {{\n\t{a} int\n}}",
        close_type="",
        function="func (s *{C}) {f}({a} string, {b} int, {c} []int) int {{",
        close="}}",
        when="if {b} > {i} {{",
        loop="for _, entry := range {c} {{",
        call="{b} += s.{f}({a}, {i}, {c})",
        text='log.Printf("{w}", {b})',
        give="return {b}",
    ),
    "java": _JAVA,
    "kt": Syntax(
        load="import org.example.{m}.{C}",
        doc="/** {w} */",
        open_type="class {C} {{",
        close_type="}}",
        function="fun {f}({a}: String, {b}: Int, {c}: List<Int>): Int {{",
        close="}}",
        when="if ({b} > {i} && {a}.isNotEmpty()) {{",
        loop="for (entry in {c}) {{",
        call="{f}({a}, {b} + {i}, {c})",
        text='logger.info("{w}")',
        give="return {b}",
    ),
    "c": _C,
    "h": Syntax(**{**vars(_C), "text": "{b} += {i};"}),
    "cc": Syntax(
        load='#include "{m}.h"',
        doc="/// {w}",
        open_type="class {C} {{ public:",
        close_type="}};",
        function="int {f}(const std::string &{a}, int {b}, std::vector<int> {c}) {{",
        close="}}",
        when="if ({b} > {i} && !{a}.empty()) {{",
        loop="for (auto entry : {c}) {{",
        call="{b} += this->{f}({a}, {i}, {c});",
        text='log_line("{w}", {b});',
        give="return {b};",
    ),
    "rs": Syntax(
        load="use crate::{m}::{f};",
        doc="/// {w}",
        open_type="pub struct {C};\nimpl {C} {{",
        close_type="}}",
        function="pub fn {f}(&self, {a}: &str, mut {b}: i64, {c}: &[i64]) -> i64 {{",
        close="}}",
        when="if {b} > {i} && !{a}.is_empty() {{",
        loop="for entry in {c}.iter() {{",
        call="{b} += self.{f}({a}, {i}, {c});",
        text='println!("{w} {{}}", {b});',
        give="return {b};",
    ),
    "cs": Syntax(
        **{
            **vars(_JAVA),
            "load": "using Example.{m};",
            "doc": "/// {w}",
            "open_type": "sealed class {C} {{",
            "function": "public int {f}(string {a}, int {b}, List<int> {c}) {{",
            "loop": "foreach (var entry in {c}) {{",
            "when": "if ({b} > {i} && {a} != null) {{",
        }
    ),
    "rb": Syntax(
        load="require_relative '{m}'",
        doc="# {w}",
        open_type="class {C}",
        close_type="end",
        function="def {f}({a}, {b}, {c})",
        close="end",
        when="if {b} > {i} && {a}",
        loop="{c}.each do |entry|",
        call="{b} += {f}({a}, {i}, {c})",
        text="puts '{w}'",
        give="return {b}",
        comment="#",
    ),
    "php": Syntax(
        load="use Example\\{m}\\{C};",
        doc="/** {w} */",
        open_type="class {C} {{",
        close_type="}}",
        function="public function {f}(string ${a}, int ${b}, array ${c}): int {{",
        close="}}",
        when="if (${b} > {i} && ${a}) {{",
        loop="foreach (${c} as $entry) {{",
        call="${b} += $this->{f}(${a}, {i}, ${c});",
        text="error_log('{w}');",
        give="return ${b};",
    ),
    "sh": Syntax(
        load=". ./{m}.sh",
        doc="# {w}",
        open_type="",
        close_type="",
        function="{f}() {{\nlocal {b}=$1",
        close="}}",
        when='if [ "${b}" -gt {i} ]; then',
        loop='for entry in "${a}"/*; do',
        call='{b}="$({f} "${a}" {i})"',
        text='echo "{w}" >&2',
        give='echo "${b}"',
        comment="#",
    ),
}
