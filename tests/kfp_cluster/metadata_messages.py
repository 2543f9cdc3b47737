"""The messages of ML Metadata that tests answer with, made by protobuf itself, with the numbers of its description.

`ml_metadata/proto/metadata_store.proto` and `metadata_store_service.proto` have them.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2

_FIELD = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "standpipe.tests.ml_metadata"
_TYPES = {
    "int64": _FIELD.TYPE_INT64,
    "int32": _FIELD.TYPE_INT32,
    "double": _FIELD.TYPE_DOUBLE,
    "string": _FIELD.TYPE_STRING,
    "bool": _FIELD.TYPE_BOOL,
}

#: The fields of each message: name, number, type, and `*` for a repeated one. A map is a list of entries on the wire.
_MESSAGES = {
    "Value": "int_value 1 int64, double_value 2 double, string_value 3 string, struct_value 4 Struct, "
    "bool_value 6 bool",
    "Property": "key 1 string, value 2 Value",
    "Artifact": "id 1 int64, type_id 2 int64, uri 3 string, custom_properties 5 Property*, state 6 int32, "
    "type 8 string",
    "Step": "index 1 int64, key 2 string",
    "Path": "steps 1 Step*",
    "Event": "artifact_id 1 int64, execution_id 2 int64, path 3 Path, type 4 int32",
    "Execution": "id 1 int64, type_id 2 int64, last_known_state 3 int32, custom_properties 5 Property*, name 6 string, "
    "type 7 string, create_time_since_epoch 8 int64, last_update_time_since_epoch 9 int64",
    "Context": "id 1 int64, name 3 string",
    "ListOptions": "max_result_size 1 int32, next_page_token 3 string",
    "GetContextByTypeAndNameRequest": "type_name 1 string, context_name 2 string",
    "GetContextByTypeAndNameResponse": "context 1 Context",
    "GetExecutionsByContextRequest": "context_id 1 int64, options 2 ListOptions",
    "GetExecutionsByContextResponse": "executions 1 Execution*, next_page_token 2 string",
    "GetEventsByExecutionIDsRequest": "execution_ids 1 int64*",
    "GetEventsByExecutionIDsResponse": "events 1 Event*",
    "GetArtifactsByIDRequest": "artifact_ids 1 int64*",
    "GetArtifactsByIDResponse": "artifacts 1 Artifact*",
}


def _describe() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="standpipe/tests/ml_metadata.proto",
        package=_PACKAGE,
        syntax="proto2",
        dependency=["google/protobuf/struct.proto"],
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field in fields.split(", "):
            field_name, number, kind = field.split()
            label = _FIELD.LABEL_REPEATED if kind.endswith("*") else _FIELD.LABEL_OPTIONAL
            added = message.field.add(name=field_name, number=int(number), label=label)
            kind = kind.rstrip("*")
            if kind in _TYPES:
                added.type = _TYPES[kind]
            else:
                added.type = _FIELD.TYPE_MESSAGE
                added.type_name = ".google.protobuf.Struct" if kind == "Struct" else f".{_PACKAGE}.{kind}"
    return file


_pool = descriptor_pool.DescriptorPool()
_file = descriptor_pb2.FileDescriptorProto()
struct_pb2.DESCRIPTOR.CopyToProto(_file)
_pool.Add(_file)
_pool.Add(_describe())
_classes = {
    name: message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
}


def make(name: str, **fields: Any) -> Any:
    """Return a message; its fields may be messages."""
    return _classes[name](**fields)


def parse(name: str, data: bytes) -> Any:
    """Return a message from its bytes, which must have no unknown fields."""
    message = _classes[name]()
    message.ParseFromString(data)
    known = message.SerializeToString()
    message.DiscardUnknownFields()
    assert message.SerializeToString() == known, f"{name} has unknown fields"
    return message


def properties(values: dict[str, Any]) -> list[Any]:
    """Return custom properties of these values."""
    return [make("Property", key=key, value=_value(value)) for key, value in values.items()]


def _value(value: Any) -> Any:
    if isinstance(value, dict):
        message = make("Value")
        message.struct_value.SetInParent()
        for name, item in value.items():
            message.struct_value.fields[name].CopyFrom(_struct_value(item))
        return message
    kinds = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}
    return make("Value", **{kinds[type(value)]: value})


def _struct_value(item: Any) -> Any:
    target = _pool.FindMessageTypeByName("google.protobuf.Value")
    value = message_factory.GetMessageClass(target)()
    struct = struct_pb2.Struct()
    struct.update({"it": item})
    value.ParseFromString(struct.fields["it"].SerializeToString())
    return value
