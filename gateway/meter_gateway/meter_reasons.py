"""Why a meter refused what it was given, and why its key failed: SPEC §11.3 and §11.4 in words for people."""

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
        "The sample period does not divide the interval, or is shorter than an instrument's own.",
        "采样周期不能整除时段，或短于仪表自身的测量周期。",
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
    "update_space": Meaning("The flash or the memory has no room for the image.", "闪存或内存空间不足。"),
    "update_unsolicited": Meaning("The meter did not ask for this chunk.", "表计并未请求该分块。"),
    "update_health": Meaning(
        "The software did not prove its health in time, or ended in an error at every boot later.",
        "软件未在期限内通过健康检查，或此后每次启动均出错。",
    ),
    "factory_provisioned": Meaning("The board has a factory record already.", "板卡已有出厂记录。"),
    "factory_unprovisioned": Meaning("The board has no factory record.", "板卡没有出厂记录。"),
    "factory_certificate": Meaning("The certificate is not for the board's key.", "证书与板卡密钥不符。"),
    "factory_parameters": Meaning(
        "The default parameter set is not that of the record.", "默认参数集与出厂记录不符。"
    ),
    "factory_flash": Meaning(
        "The board's flash is full or fails; it did not take the record.",
        "板卡闪存已满或有故障，未能写入出厂记录。",
    ),
    "factory_nonce": Meaning("It does not answer the question that was asked.", "与所提问题不符。"),
    "factory_head": Meaning("The board has sealed more in the meantime.", "板卡此间又产生了新报文。"),
    "no_response": Meaning("The secure element does not answer.", "安全芯片无应答。"),
    "crc": Meaning("The secure element's answers come damaged.", "与安全芯片的通信有误码。"),
    "busy": Meaning("The secure element never finished a command.", "安全芯片一直未完成命令。"),
    "watchdog": Meaning("The secure element fell asleep over a command.", "安全芯片在执行命令时休眠。"),
    "execution_failed": Meaning("The secure element refused a command.", "安全芯片拒绝执行命令。"),
    "wrong_device": Meaning("It is another chip than the board's software is for.", "芯片型号与软件不符。"),
    "config_not_locked": Meaning("The secure element's configuration is not locked.", "安全芯片的配置区未锁定。"),
    "config_not_written": Meaning(
        "The secure element did not take its configuration.", "安全芯片的配置未能写入。"
    ),
    "data_not_locked": Meaning("The secure element's data are not locked.", "安全芯片的数据区未锁定。"),
    "slot_not_private": Meaning("The slot does not hold a private key.", "该槽不是私钥槽。"),
    "slot_not_p256": Meaning("The slot's key is not of P-256.", "该槽的密钥不是 P-256。"),
    "slot_readable": Meaning("The key could be read.", "密钥可被读出。"),
    "slot_writable": Meaning("The key could be written.", "密钥可被写入。"),
    "slot_cannot_sign": Meaning("The key may not sign what comes from outside.", "该密钥不允许对外部数据签名。"),
    "slot_limited": Meaning("The key's use is limited.", "该密钥的使用次数受限。"),
    "slot_needs_authorisation": Meaning(
        "The key needs an authorisation that a meter has not.", "使用该密钥需要表计不具备的授权。"
    ),
    "slot_public_key_hidden": Meaning("The public key cannot be had.", "无法取得公钥。"),
    "slot_empty": Meaning("There is no key in the slot.", "该槽没有密钥。"),
    "native_missing": Meaning("The board's image has no native signing.", "板卡固件不含原生签名模块。"),
    "key_damaged": Meaning("The key's file is damaged.", "密钥文件已损坏。"),
    "public_key_changed": Meaning("The key is not the one that the board has had.", "密钥不是板卡原有的密钥。"),
    "self_test_sign": Meaning("A signature came out wrong.", "签名结果错误。"),
    "self_test_verify": Meaning("The check of a signature came out wrong.", "验签结果错误。"),
}
