import pytest

from wingbeat.http.s3_xml import S3Error, document, parsed_xml


@pytest.mark.parametrize(
    "body",
    [b"", b"text", b"<Other/>", b"<a><b></a>", b'<!DOCTYPE Delete [<!ENTITY x "y">]><Delete>&x;</Delete>'],
)
def test_bad_xml_is_malformed(body: bytes) -> None:
    with pytest.raises(S3Error) as refusal:
        parsed_xml(body, "Delete")
    assert refusal.value.code == "MalformedXML"


def test_what_was_written_can_be_read() -> None:
    written = document("List", [("Key", "a&<b>\x01"), ("Part", [("Size", 5), ("Last", True)])])
    root = parsed_xml(written, "List")
    assert root.value("Key") == "a&<b>\ufffd"
    assert root.all("Part")[0].value("Size") == "5"
    assert root.all("Part")[0].value("Last") == "true"
