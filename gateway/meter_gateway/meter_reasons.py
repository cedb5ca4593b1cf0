"""Why a meter refused what it was given: the codes of SPEC §11.3, in words for the person who sent it."""

from meter_gateway.reasons import Meaning

METER_REASONS: dict[str, Meaning] = {
    "not_for_us": Meaning("It names another meter.", "写明的是另一台表计。"),
    "forgeries": Meaning(
        "Too many signatures did not verify just now, so it was not looked at.", "近期签名不符过多，未予查看。"
    ),
    "receipt_not_ours": Meaning(
        "The receipt is not of what the meter sealed at that sequence.", "回执与表计在该序号所封内容不符。"
    ),
    "receipt_stale": Meaning("An older receipt.", "回执已过时。"),
    "refusal_not_ours": Meaning("The meter has nothing with that digest.", "表计没有该摘要对应的报文。"),
    "resend_of_nothing": Meaning("The meter has not got as far as that sequence.", "表计尚未到达该序号。"),
    "time_reply_unsolicited": Meaning("The meter did not ask for the time.", "表计并未请求对时。"),
    "time_reply_late": Meaning("The time reply took too long.", "对时应答过迟。"),
    "time_reply_without_time": Meaning("The gateway itself had no time.", "网关自身没有时间。"),
    "time_reply_implausible": Meaning("The time reply cannot be meant.", "对时应答不合理。"),
    "parameters_not_newer": Meaning(
        "The set's version is not newer than that in force.", "参数集版本不高于现行版本。"
    ),
    "parameters_sample_period": Meaning(
        "The sample period does not divide the interval.", "采样周期不能整除时段。"
    ),
    "parameters_no_channel": Meaning("The set has no channel.", "参数集没有通道。"),
    "parameters_bus": Meaning(
        "The board has no such bus, or the driver needs one of another kind.",
        "板卡没有该总线，或总线类型与驱动不符。",
    ),
    "parameters_driver": Meaning(
        "The software has no such driver, or not with such options.", "软件没有该驱动，或不支持所给选项。"
    ),
    "parameters_indication": Meaning("The driver has no such indication.", "驱动没有该示值。"),
    "parameters_quantity": Meaning("The indication is of another quantity.", "该示值属于另一个量。"),
    "parameters_kind": Meaning("The indication is not a register.", "该示值不是寄存器。"),
    "parameters_scale": Meaning("Exponent or modulus is not the indication's.", "指数或模数与示值不符。"),
    "parameters_address": Meaning("The driver's bus has no such address.", "该总线没有此地址。"),
    "parameters_ratio": Meaning("The indication times the ratio becomes too large.", "示值乘以变比后超出范围。"),
    "update_not_newer": Meaning(
        "It is not newer than the software that runs, and no downgrade is allowed from there.",
        "不比现行软件新，且未授权由此降级。",
    ),
    "update_not_for_us": Meaning("It is for another maker's or model's boards.", "适用于其他厂商或型号的板卡。"),
    "update_image": Meaning(
        "The image is not that of the manifest, or holds what no image may.",
        "映像与清单不符，或含有不允许的内容。",
    ),
    "update_space": Meaning("The flash has no room for the image.", "闪存空间不足。"),
    "update_unsolicited": Meaning("The meter did not ask for this chunk.", "表计并未请求该分块。"),
    "update_health": Meaning(
        "The new software did not prove its health in time.", "新软件未在期限内通过健康检查。"
    ),
}
