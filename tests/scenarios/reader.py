"""A reader that shares no code with the product: compares JSON objects in S3 with
the parquet objects that they were made from, row by row and value by value.

The argument is a JSON document: {"bucket", "pairs": [[source key, output key]],
"format", "compression", "json": {options of spec.output.json}}. Prints the number
of rows of each pair, or fails with the first difference.
"""

import base64
import datetime as dt
import gzip
import io
import json
import math
import os
import struct
import sys

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

order = json.loads(sys.argv[1])
options = order.get("json", {})
s3 = fs.S3FileSystem(
    endpoint_override=os.environ["S3_ENDPOINT"],
    region="us-east-1",
    access_key=os.environ["AWS_ACCESS_KEY_ID"],
    secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
)
ABSENT = object()


class Text(str):
    """A number exactly as it is written."""


class Single(float):
    """A number of 32 bits: fewer digits are enough for it."""


def read(key):
    with s3.open_input_file(f"{order['bucket']}/{key}") as file:
        return file.read()


def decompress(content):
    kind = order.get("compression", "None")
    if kind == "Gzip":
        return gzip.decompress(content)
    if kind == "Zstd":
        return pa.input_stream(io.BytesIO(content), compression="zstd").read()
    return content


def unique(pairs):
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names)), f"a name occurs twice: {names}"
    return dict(pairs)


def parse(text):
    def refuse(word):
        raise AssertionError(f"not JSON: {word}")

    return json.loads(
        text, parse_float=Text, parse_int=Text, parse_constant=refuse, object_pairs_hook=unique
    )


def rows_of(content):
    text = decompress(content).decode("utf-8")
    if order.get("format", "JsonLines") == "JsonArray":
        rows = parse(text)
        assert isinstance(rows, list), "not an array"
        return rows
    assert text == "" or text.endswith("\n"), "the last line has no end"
    return [parse(line) for line in text.split("\n")[:-1]]


def fraction(microseconds):
    if microseconds % 1000 == 0:
        return f"{microseconds // 1000:03}"
    return f"{microseconds:06}"


def timestamp(value, kind):
    if options.get("timestamps") == "EpochMillis":
        utc = value if kind.tz else value.replace(tzinfo=dt.timezone.utc)
        epoch = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
        return Text((utc - epoch) // dt.timedelta(milliseconds=1))
    if kind.tz:
        value = value.astimezone(dt.timezone.utc)
    zone = "" if not kind.tz and options.get("localTimestamps") == "NoZone" else "Z"
    return f"{value:%Y-%m-%dT%H:%M:%S}.{fraction(value.microsecond)}{zone}"


def special(value):
    if options.get("nonFinite") == "Null":
        return None
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def expected(value, kind):
    """What a value must look like; numbers as Text or float."""
    if value is None:
        return None
    if pa.types.is_struct(kind):
        return record(value, [kind.field(i) for i in range(kind.num_fields)])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [expected(item, kind.value_type) for item in value]
    if pa.types.is_map(kind):
        return {str(key): expected(item, kind.item_type) for key, item in value}
    if pa.types.is_boolean(kind):
        return value
    if pa.types.is_timestamp(kind):
        return timestamp(value, kind)
    if pa.types.is_date(kind):
        return value.isoformat()
    if pa.types.is_time(kind):
        tail = f".{fraction(value.microsecond)}" if value.microsecond else ""
        return f"{value:%H:%M:%S}{tail}"
    if pa.types.is_decimal(kind):
        text = f"{value:f}"
        return text if options.get("decimals") == "String" else Text(text)
    if pa.types.is_int64(kind) or pa.types.is_uint64(kind):
        return str(value) if options.get("int64") == "String" else Text(value)
    if pa.types.is_integer(kind):
        return Text(value)
    if pa.types.is_floating(kind):
        if not math.isfinite(value):
            return special(value)
        return Single(value) if pa.types.is_float32(kind) else value
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return value.hex() if options.get("binary") == "Hex" else base64.b64encode(value).decode()
    assert pa.types.is_string(kind) or pa.types.is_large_string(kind), f"no rule for {kind}"
    return value


def record(values, fields):
    explicit = options.get("nulls") == "Explicit"
    found = {}
    for field in fields:
        value = values[field.name]
        if value is not None or explicit:
            found[field.name] = expected(value, field.type)
    return found


def same(wanted, got):
    if isinstance(wanted, float):
        # As written it must be a number with a fraction that reads back as this.
        if not isinstance(got, Text) or not ("." in got or "e" in got):
            return False
        read = float(got)
        if isinstance(wanted, Single):
            read = struct.unpack("f", struct.pack("f", read))[0]
        return repr(read) == repr(float(wanted))
    if isinstance(wanted, dict):
        return isinstance(got, dict) and list(wanted) == list(got) and all(
            same(wanted[name], got[name]) for name in wanted
        )
    if isinstance(wanted, list):
        return isinstance(got, list) and len(wanted) == len(got) and all(map(same, wanted, got))
    return type(wanted) is type(got) and wanted == got


def compare(source, output):
    table = pq.read_table(io.BytesIO(read(source)))
    fields = list(table.schema)
    got = rows_of(read(output))
    assert len(got) == table.num_rows, f"{output}: {len(got)} rows, not {table.num_rows}"
    for index, values in enumerate(table.to_pylist()):
        wanted = record(values, fields)
        row = got[index]
        if same(wanted, row):
            continue
        names = [name for name in {**wanted, **row} if not same(wanted.get(name, ABSENT), row.get(name, ABSENT))]
        pairs = {name: (wanted.get(name, "absent"), row.get(name, "absent")) for name in names}
        raise AssertionError(f"{output}, row {index}: wanted and got differ: {pairs or (wanted, row)}")
    return len(got)


print(json.dumps([compare(source, output) for source, output in order["pairs"]]))
