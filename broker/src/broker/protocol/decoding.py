"""Generates the reading half: one function per struct and version. See `compiler` for the shape of what is generated."""

import struct
from typing import Any

from broker.protocol.compiler import FIXED, STRING_BYTES_MAX, Source, fixed_struct, size_min
from broker.protocol.message import Struct
from broker.protocol.types import Field

_built: dict[tuple[type[Struct], int, bool], Any] = {}


def build_decoder(cls: type[Struct], version: int, flexible: bool) -> Any:
    """``function(buffer, position, end) -> (instance, position)`` for this version."""
    key = (cls, version, flexible)
    if key not in _built:
        _built[key] = _Decoder(cls, version, flexible).build()
    return _built[key]


class _Decoder:
    def __init__(self, cls: type[Struct], version: int, flexible: bool) -> None:
        self.cls = cls
        self.version = version
        self.flexible = flexible
        self.source = Source(cls, version, "decode")

    def build(self) -> Any:
        source = self.source
        source.add(0, "def function(b, p, end):")
        source.add(1, f"o = new({source.name(self.cls, 'cls')})")
        source.names["new"] = self.cls.__new__
        present = [f for f in self.cls.FIELDS if self.version in f.versions]
        self._run(1, [f for f in present if f.tag is None])
        for field in self.cls.FIELDS:
            if field not in present or field.tag is not None:
                self._default(field)
        if self.flexible:
            self._tagged([f for f in present if f.tag is not None])
        source.add(1, "return o, p")
        return source.compile()

    def _label(self, field: Field) -> str:
        return f"{self.cls.__name__}.{field.name}"

    def _default(self, field: Field) -> None:
        if field.default is not ...:
            self.source.add(1, f"o.{field.name} = {self.source.name(field.default, 'default')}")
        else:
            self.source.add(1, f"o.{field.name} = {self.source.name(field.default_value, 'make')}()")

    def _run(self, indent: int, fields: list[Field]) -> None:
        """Read fields in order, neighbours of fixed size together."""
        index = 0
        while index < len(fields):
            together = []
            while index < len(fields) and fields[index].kind in FIXED:
                together.append(fields[index])
                index += 1
            if together:
                self._fixed(indent, together)
            if index < len(fields):
                self._value(indent, fields[index], f"o.{fields[index].name}")
                index += 1

    def _fixed(self, indent: int, fields: list[Field]) -> None:
        source, layout = self.source, fixed_struct(fields)
        label = self._label(fields[0])
        targets = ", ".join(f"o.{field.name}" for field in fields) + ("," if len(fields) == 1 else "")
        source.add(indent, f"{targets} = {source.name(layout.unpack_from, 'unpack')}(b, p)", label)
        source.add(indent, f"p += {layout.size}", label)
        for field in fields:
            if field.kind == "uuid":
                source.add(indent, f"o.{field.name} = UUID(bytes=o.{field.name})", self._label(field))

    def _value(self, indent: int, field: Field, target: str) -> None:
        """Read one value of any kind into `target`."""
        label, source = self._label(field), self.source
        if field.kind in FIXED:
            self._fixed(indent, [field])
        elif field.kind == "array":
            self._array(indent, field, target)
        elif isinstance(field.kind, str):
            self._sized(indent, field.kind, self.version in field.nullable, target, label)
        else:
            decoder = source.name(build_decoder(field.kind, self.version, self.flexible), "decode")
            if self.version in field.nullable:
                marker = source.temporary("m")
                source.add(indent, f"{marker} = b[p]", label)
                source.add(indent, "p += 1", label)
                source.add(indent, f"if {marker} > 127: {target} = None", label)
                source.add(indent, f"else: {target}, p = {decoder}(b, p, end)", label)
            else:
                source.add(indent, f"{target}, p = {decoder}(b, p, end)", label)

    def _length(self, indent: int, kind: str, label: str) -> str:
        """Read a length: compact (plus one) in flexible versions, else two bytes for strings and four for the rest."""
        source, length = self.source, self.source.temporary("n")
        if self.flexible:
            source.add(indent, f"{length} = b[p]", label)
            source.add(indent, f"if {length} < 128: p += 1", label)
            source.add(indent, "else:", label)
            source.add(indent + 1, f"{length}, p = read_uvarint(b, p)", label)
            if kind == "string":
                source.add(indent + 1, f"if {length} > {STRING_BYTES_MAX + 1}: refuse_string({label!r}, {length} - 1)", label)
            source.add(indent, f"{length} -= 1", label)
        else:
            code = fixed_code("int16" if kind == "string" else "int32")
            source.add(indent, f"{length}, = {source.name(code.unpack_from, 'unpack')}(b, p)", label)
            source.add(indent, f"p += {code.size}", label)
        return length

    def _sized(self, indent: int, kind: str, nullable: bool, target: str, label: str) -> None:
        source = self.source
        length = self._length(indent, kind, label)
        # Records may be null in every version; nobody sends more of a null than its length.
        if nullable or kind == "records":
            source.add(indent, f"if {length} == -1: {target} = None", label)
            source.add(indent, "else:", label)
            indent += 1
        source.add(indent, f"if not 0 <= {length} <= end - p: refuse_length({label!r}, {length}, end - p)", label)
        made = {"string": f"str(b[p:p + {length}], 'utf-8')", "bytes": f"bytes(b[p:p + {length}])"}
        source.add(indent, f"{target} = {made.get(kind, f'b[p:p + {length}]')}", label)
        source.add(indent, f"p += {length}", label)

    def _array(self, indent: int, field: Field, target: str) -> None:
        source, label = self.source, self._label(field)
        length = self._length(indent, "array", label)
        if self.version in field.nullable:
            source.add(indent, f"if {length} == -1: {target} = None", label)
            source.add(indent, "else:", label)
            indent += 1
        element = field.element
        least = size_min(element, self.version, self.flexible)
        source.add(indent, f"take_elements({length}, {least}, end - p, {label!r})", label)
        if element in FIXED and element != "uuid":
            code, size = FIXED[element]
            unpack = source.name(struct.unpack_from, "unpack")
            source.add(indent, f"{target} = list({unpack}('>%d{code}' % {length}, b, p))", label)
            source.add(indent, f"p += {size} * {length}", label)
            return
        items, item = source.temporary("items"), source.temporary("item")
        source.add(indent, f"{items} = []", label)
        source.add(indent, f"for _ in range({length}):", label)
        if element == "uuid":
            source.add(indent + 1, "if end - p < 16: raise IndexError", label)
            source.add(indent + 1, f"{item} = UUID(bytes=bytes(b[p:p + 16]))", label)
            source.add(indent + 1, "p += 16", label)
        elif isinstance(element, str):
            self._sized(indent + 1, element, False, item, label)
        else:
            decoder = source.name(build_decoder(element, self.version, self.flexible), "decode")
            source.add(indent + 1, f"{item}, p = {decoder}(b, p, end)", label)
        source.add(indent + 1, f"{items}.append({item})", label)
        source.add(indent, f"{target} = {items}", label)

    def _tagged(self, fields: list[Field]) -> None:
        """The tagged fields at the end: ascending tags, each with its size; unknown ones are skipped."""
        source, label = self.source, f"{self.cls.__name__}'s tagged fields"
        source.add(1, "count = b[p]", label)
        source.add(1, "p += 1", label)
        source.add(1, "if count:", label)
        source.add(2, "if count > 127: count, p = read_uvarint(b, p - 1)", label)
        source.add(2, f"take_elements(count, 2, end - p, {label!r})", label)
        source.add(2, "last = -1", label)
        source.add(2, "for _ in range(count):", label)
        source.add(3, "tag, p = read_uvarint(b, p)", label)
        source.add(3, "size, p = read_uvarint(b, p)", label)
        source.add(3, f"if tag <= last or size > end - p: refuse_length({label!r}, size, end - p)", label)
        source.add(3, "last, start, whole = tag, p, end", label)
        source.add(3, "end = p + size", label)
        for number, field in enumerate(fields):
            source.add(3, f"{'el' if number else ''}if tag == {field.tag}:", label)
            self._value(4, field, f"o.{field.name}")
            source.add(4, f"if p != end: refuse_length({self._label(field)!r}, size, p - start)", label)
        source.add(3, "p, end = end, whole", label)


def fixed_code(kind: str) -> Any:
    return struct.Struct(">" + FIXED[kind][0])
