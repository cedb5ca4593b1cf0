"""Why bytes were refused: every code, in words for the person who has to find out what sent them.

The codes of the protocol are SPEC §11.1, those of a verifier SPEC §11.2. Facts about authentic messages are no
refusals; traceability/findings.py has those.
"""

from typing import NamedTuple


class Meaning(NamedTuple):
    en: str
    zh: str


REASONS: dict[str, Meaning] = {
    # SPEC §2: the encoding
    "cbor_truncated": Meaning(
        "The bytes end in the middle: something on the way cut them off.", "数据中途截断：传输途中被截短。"
    ),
    "cbor_trailing_bytes": Meaning("More bytes follow the end of the message.", "报文结束后还有多余字节。"),
    "cbor_non_shortest": Meaning("A number is not encoded in its shortest form.", "数值未按最短形式编码。"),
    "cbor_unsorted_keys": Meaning("The keys of a map are not in ascending order.", "映射的键未按升序排列。"),
    "cbor_duplicate_key": Meaning("A map holds the same key twice.", "映射中同一键出现两次。"),
    "cbor_indefinite_length": Meaning("An item has no stated length.", "数据项未声明长度。"),
    "cbor_float": Meaning(
        "A floating-point number, which nothing signed may hold.", "出现浮点数；签名内容禁用浮点数。"
    ),
    "cbor_tag": Meaning("A CBOR tag where none is allowed.", "在不允许之处出现 CBOR 标签。"),
    "cbor_simple_value": Meaning(
        "A simple value other than false, true and null.", "出现 false、true、null 以外的简单值。"
    ),
    "cbor_integer_range": Meaning("An integer does not fit 64 bits with sign.", "整数超出有符号 64 位范围。"),
    "cbor_key_type": Meaning("A map key is not an integer.", "映射的键不是整数。"),
    "cbor_invalid_utf8": Meaning("A text is not valid UTF-8.", "文本不是有效的 UTF-8。"),
    "cbor_reserved": Meaning("A form that CBOR reserves for the future.", "使用了 CBOR 保留的编码形式。"),
    "cbor_too_deep": Meaning("Arrays and maps are nested too deeply.", "数组与映射嵌套过深。"),
    "cbor_too_large": Meaning("The item is larger than it may be.", "数据项超出允许大小。"),
    "cbor_too_many_objects": Meaning(
        "More strings, arrays and maps than a parameter set may hold.", "字符串、数组与映射数量超出参数集上限。"
    ),
    # SPEC §3: the signed message
    "cose_not_sign1": Meaning("Not a signed message of this protocol at all.", "根本不是本协议的签名报文。"),
    "cose_structure": Meaning("The signed message has not its four parts.", "签名报文的四个组成部分不完整。"),
    "cose_unprotected_header": Meaning(
        "The unprotected header is not empty; nobody signs what stands there.",
        "未保护头非空；其内容不受签名保护。",
    ),
    "cose_protected_header": Meaning(
        "The protected header is not exactly algorithm, key id and type.",
        "受保护头不是恰好包含算法、密钥标识与类型。",
    ),
    "cose_algorithm": Meaning("A signature algorithm that is not accepted here.", "签名算法不被接受。"),
    "cose_kid": Meaning("The key id is not 8 bytes.", "密钥标识不是 8 字节。"),
    "cose_signature_length": Meaning("The signature is not 64 bytes.", "签名不是 64 字节。"),
    "cose_too_large": Meaning("The message is larger than its type may be.", "报文超出其类型允许的大小。"),
    "cose_too_many_messages": Meaning("More than 256 messages were sent at once.", "一次发送的报文超过 256 条。"),
    "cose_key": Meaning("The public key is not one that can be used.", "公钥无法使用。"),
    # SPEC §4–§8: the content
    "unknown_type": Meaning("A message type that this version does not know.", "本版本不认识该报文类型。"),
    "unknown_version": Meaning(
        "A protocol version that this gateway does not know; it may need an update.",
        "网关不认识该协议版本，可能需要升级。",
    ),
    "field_missing": Meaning("A field that the type demands is missing.", "缺少该类型必需的字段。"),
    "field_unknown": Meaning("A field that the type does not have.", "出现该类型没有的字段。"),
    "field_value": Meaning("A field holds a value that it may not have.", "字段取值不被允许。"),
    "merkle_path": Meaning(
        "The proof does not lead to the root that the gateway signed.", "证明路径无法导出网关签名的根。"
    ),
    # SPEC §11.2: the verifier
    "unknown_key": Meaning(
        "Nobody has enrolled this key; the meter keeps its readings until somebody does.",
        "该密钥未登记；表计会保留读数，直至完成登记。",
    ),
    "algorithm_mismatch": Meaning(
        "The message names another algorithm than its key has.", "报文所称算法与密钥的算法不一致。"
    ),
    "type_not_allowed": Meaning(
        "This key may not sign this type, or it was sent to the wrong place.",
        "该密钥无权签署此类报文，或发错了地方。",
    ),
    "signature_range": Meaning("The signature's numbers are out of range.", "签名数值超出范围。"),
    "signature_high_s": Meaning(
        "The signature is the altered twin of another; only the lower form is accepted.",
        "该签名是另一签名的变形；只接受低 s 形式。",
    ),
    "revoked_key": Meaning("The meter's key was revoked before this arrived.", "收到之前该表计密钥已被吊销。"),
    "signature_invalid": Meaning(
        "The signature does not fit: the bytes were changed, or another key signed them.",
        "签名不符：内容被改动，或由其他密钥签署。",
    ),
    "identity_key_mismatch": Meaning(
        "An identity that was signed by another key than the one it shows.", "身份报文所示公钥与签名密钥不一致。"
    ),
    "meter_mismatch": Meaning("A time request that names another meter.", "对时请求所写的是另一台表计。"),
}
