"""Every finding code of the gateway, what it says in English and Chinese, and the rule it comes from.

A code is a fact, never an opinion: whether it keeps a reading from being accepted is for a scheme to say
(policy.py). Codes are stable; a code that is no longer produced stays in the table. docs/findings.md shows
the same table and a test compares the two. "Clause" names the requirement: VIM is JCGM 200:2012, WELMEC is
guide 7.2 with its requirement letters, SPEC is protocol/SPEC.md.
"""

from typing import NamedTuple

from meter_gateway.model import Finding


class Meaning(NamedTuple):
    en: str
    zh: str
    clause: str


FINDINGS: dict[str, Meaning] = {
    # continuity.py
    "chain_broken": Meaning(
        "The message does not continue the one before it: its previous hash is another.",
        "报文与前一条不衔接：所载前一哈希不符。",
        "SPEC §4; WELMEC T3",
    ),
    "chain_fork": Meaning(
        "The meter signed two different messages with one sequence number; it is barred until this is resolved.",
        "表计对同一序号签署了两条不同报文；问题解决前该表停止采信。",
        "SPEC §4; WELMEC T4",
    ),
    "sequence_gap": Meaning(
        "Messages before this one are missing, and the meter attested that it no longer has them.",
        "此前报文缺失，且表计已签名声明不再保存。",
        "SPEC §4; WELMEC T8",
    ),
    "context_mismatch": Meaning(
        "Identity, parameters or software at sealing were not those that the chain announced.",
        "封签时的身份、参数或软件与链中声明的不一致。",
        "SPEC §4; WELMEC L1",
    ),
    "boot_backwards": Meaning(
        "The boot counter is lower than before.",
        "启动计数小于此前数值。",
        "SPEC §4; WELMEC P5",
    ),
    "boot_unannounced": Meaning(
        "The meter restarted and no boot event says with which software.",
        "表计已重启，但没有说明所用软件的启动事件。",
        "SPEC §6; WELMEC P2",
    ),
    "identity_missing": Meaning(
        "The chain's identity message is not known, so neither the meter's key protection nor its software is.",
        "未获得链的身份报文，密钥保护方式与软件均不明。",
        "SPEC §4; WELMEC P2",
    ),
    "epoch_opened": Meaning(
        "The meter opened a new chain after an earlier one; what links them is its own statement.",
        "表计在原有链之后另起新链，两链的联系仅凭其自身声明。",
        "SPEC §4",
    ),
    # intervals and clock.py
    "interval_overlap": Meaning(
        "The interval begins before the previous one ended.",
        "本时段起点早于上一时段终点。",
        "SPEC §5",
    ),
    "interval_outage": Meaning(
        "The reading covers a time in which the board or its bus was down; its distribution in time is lost.",
        "读数覆盖停电或总线中断期间，时间分布已丢失。",
        "SPEC §5",
    ),
    "interval_partial": Meaning(
        "The interval was closed early, at a boot, a clock step or a change of parameters.",
        "时段因启动、校时或参数变更而提前结束。",
        "SPEC §5",
    ),
    "clock_unknown": Meaning(
        "The meter's clock had no time.",
        "表计时钟无时间。",
        "SPEC §4; WELMEC L1",
    ),
    "clock_relative": Meaning(
        "The clock was not yet set since the meter started; the time counts from its boot.",
        "启动后尚未校时，时间自启动起计。",
        "SPEC §4",
    ),
    "clock_informative": Meaning(
        "The clock is not synchronised to a trusted source; its time is for information.",
        "时钟未与可信时源同步，时间仅供参考。",
        "SPEC §4",
    ),
    "clock_uncertainty_large": Meaning(
        "The uncertainty of the clock is larger than the configured limit.",
        "时钟不确定度超过设定限值。",
        "docs/configuration.md, max_clock_uncertainty_ms",
    ),
    "time_in_future": Meaning(
        "The message says a time later than its reception, beyond both clocks' uncertainty.",
        "报文时间晚于接收时间，且超出双方时钟不确定度。",
        "SPEC §4",
    ),
    "time_unresolved": Meaning(
        "The time is only bounded by the previous message and the reception, and was judged over that whole span.",
        "时间仅由前一报文与接收时刻界定，按整个区间评定。",
        "SPEC §4",
    ),
    "time_unbounded": Meaning(
        "No earlier message bounds the time from below, so it could not be judged against any certificate.",
        "没有更早的报文界定时间下限，无法对照任何证书评定。",
        "SPEC §4",
    ),
    "gateway_clock_untrusted": Meaning(
        "The gateway's own clock was not trusted at reception, so a time in the future could not be recognised.",
        "接收时网关自身时钟不可信，无法识别超前时间。",
        "docs/configuration.md, [clock]",
    ),
    # protection.py
    "key_software": Meaning(
        "The signing key is an ordinary file of the meter: whoever owns the board can copy it.",
        "签名密钥为表计中的普通文件，持有板卡者即可复制。",
        "WELMEC T5",
    ),
    "key_native": Meaning(
        "The signing key lies in the processor's flash, without a secure element.",
        "签名密钥存放在处理器闪存中，无安全芯片。",
        "WELMEC T5",
    ),
    "key_protection_unproven": Meaning(
        "The meter says that its key is in a secure element, and no maker's certificate proves it.",
        "表计自称密钥位于安全芯片，但无制造商证书证明。",
        "WELMEC T5",
    ),
    "gateway_witnessed": Meaning(
        "The instrument cannot sign: the gateway read it over a line and sealed the reading with its own key.",
        "仪表不能签名：读数由网关经通信线路读取，并以网关自有密钥封签。",
        "WELMEC T3; WELMEC T5",
    ),
    # parameters.py
    "parameters_missing": Meaning(
        "No parameter set is known for the chain, so the values have neither unit nor scale.",
        "链中没有已知参数集，读数既无单位也无量程换算。",
        "SPEC §5; WELMEC P7",
    ),
    "parameters_invalid": Meaning(
        "The parameter set that the meter applied is not one that the protocol allows.",
        "表计所用参数集不符合协议规定。",
        "SPEC §7; WELMEC P7",
    ),
    "parameters_unauthorised": Meaning(
        "No configured parameter authority signed the parameter set for this meter.",
        "参数集未经已配置的参数授权方为本表签署。",
        "SPEC §7; WELMEC P7",
    ),
    "parameters_rolled_back": Meaning(
        "The parameter set has a lower version than the one it replaced.",
        "参数集版本低于被替换的版本。",
        "SPEC §7; WELMEC P7",
    ),
    "parameters_refused": Meaning(
        "The meter was given a parameter set and refused it.",
        "表计收到参数集并予以拒绝。",
        "SPEC §6",
    ),
    "reading_not_in_parameters": Meaning(
        "The channel is unknown to the parameter set, or its reading is not of the declared kind.",
        "通道不在参数集中，或读数类型与声明不符。",
        "SPEC §5.1",
    ),
    "reading_missing": Meaning(
        "The parameter set declares the channel, and the message has no reading of it.",
        "参数集声明了该通道，但报文中没有其读数。",
        "SPEC §5.1",
    ),
    # status.py
    "no_response": Meaning(
        "The instrument did not answer.",
        "仪表无应答。",
        "SPEC §5.1, status 1",
    ),
    "bad_response": Meaning(
        "The instrument answered something that could not be understood.",
        "仪表应答无法解析。",
        "SPEC §5.1, status 2",
    ),
    "implausible": Meaning(
        "The value is not plausible; it is kept as it was read.",
        "读数不合理，按原值保留。",
        "SPEC §5.1, status 4",
    ),
    "missed_samples": Meaning(
        "Fewer samples than expected were taken in the interval.",
        "时段内采样数少于应有数。",
        "SPEC §5.1, status 8",
    ),
    "gap_before": Meaning(
        "The register was not read at the previous interval's end; the quantity covers more than one interval.",
        "上一时段末未读到寄存器，本量覆盖多个时段。",
        "SPEC §5.1, status 16",
    ),
    "wrapped": Meaning(
        "The instrument's register wrapped around and was unwrapped.",
        "仪表寄存器翻转，已按模数还原。",
        "SPEC §5.1, status 32",
    ),
    "discontinuity": Meaning(
        "The instrument's register jumped; no quantity was derived from the jump.",
        "仪表寄存器跳变，未据此计量。",
        "SPEC §5.1, status 64",
    ),
    "wrong_instrument": Meaning(
        "The instrument on the bus is not the one that the parameters name.",
        "总线上的仪表不是参数集所指定的仪表。",
        "SPEC §5.1, status 128; VIM 2.41",
    ),
    "under_range": Meaning(
        "The signal was below what the instrument can say; a mean of the other samples is not the interval's.",
        "信号低于仪表可示值下限，其余采样的均值不代表整个时段。",
        "SPEC §5.1, status 256; NAMUR NE 43",
    ),
    "over_range": Meaning(
        "The signal was above what the instrument can say; a mean of the other samples is not the interval's.",
        "信号高于仪表可示值上限，其余采样的均值不代表整个时段。",
        "SPEC §5.1, status 512; NAMUR NE 43",
    ),
    "signal_fault": Meaning(
        "The signal itself says that the transmitter failed or that a wire is broken.",
        "信号本身表明变送器故障或断线。",
        "SPEC §5.1, status 1024; NAMUR NE 43",
    ),
    "register_backwards": Meaning(
        "The register total is lower than before.",
        "累计量小于此前数值。",
        "SPEC §5.1; WELMEC P5",
    ),
    # sampling, judged in assess.py
    "sampling_jitter": Meaning(
        "A sample was taken later than its time by more than the sample period or the configured limit.",
        "采样滞后超过采样周期或设定限值。",
        "SPEC §5; docs/configuration.md, max_sampling_jitter_ms",
    ),
    # event facts
    "self_test_failed": Meaning(
        "The meter's self-test failed.",
        "表计自检失败。",
        "SPEC §6; WELMEC P5",
    ),
    "journal_overflow": Meaning(
        "The meter's journal was full; readings were not recorded until it was freed.",
        "表计日志已满，释放前未记录读数。",
        "SPEC §6; WELMEC L8",
    ),
    "journal_quarantined": Meaning(
        "Part of the meter's journal was unreadable and was set aside.",
        "表计日志部分不可读，已隔离。",
        "SPEC §6; WELMEC L6",
    ),
    # software.py and the events of updates
    "software_changed": Meaning(
        "The meter started with other software than before.",
        "表计以不同于此前的软件启动。",
        "SPEC §6; WELMEC D4",
    ),
    "software_unapproved": Meaning(
        "The software that the meter names is not approved by the owner, nor has the meter said that an update"
        " which an update authority signed installed it; or the owner refuses it.",
        "表计所报软件未经业主批准，表计也未报告其由升级授权方签署的升级所安装；或该软件被业主拒绝。",
        "WELMEC P2; WELMEC D2; docs/configuration.md, [[software]]",
    ),
    "update_unauthorised": Meaning(
        "The meter's software was updated, and no configured update authority signed that software.",
        "表计软件已升级，但该软件未经已配置的升级授权方签署。",
        "SPEC §8.5; WELMEC D2",
    ),
    "update_refused": Meaning(
        "The meter was given a software update and refused it.",
        "表计收到软件升级并予以拒绝。",
        "SPEC §6",
    ),
    "update_rolled_back": Meaning(
        "The meter tried a software update, found it unhealthy and went back to the software before.",
        "表计试运行升级软件未通过健康检查，已恢复原软件。",
        "SPEC §6",
    ),
    # calibration.py
    "certificate_missing": Meaning(
        "No certificate is bound to the channel for the whole interval.",
        "整个时段内该通道没有绑定证书。",
        "VIM 2.41",
    ),
    "certificate_not_yet_valid": Meaning(
        "The instrument was calibrated or verified only after the interval began.",
        "时段开始之后仪表才完成校准或检定。",
        "VIM 2.41",
    ),
    "certificate_expired": Meaning(
        "The recalibration or verification due date passed before the interval ended.",
        "时段结束前已超过复校日期或检定有效期。",
        "ISO/IEC 17025:2017, 6.4",
    ),
    "certificate_due_unknown": Meaning(
        "The certificate has no due date and its owner has set none, so it is never in force.",
        "证书无到期日且使用方未规定，不能视为有效。",
        "ISO/IEC 17025:2017, 6.4",
    ),
    "certificate_superseded": Meaning(
        "Another certificate took its place before the interval ended.",
        "时段结束前该证书已被替代。",
        "ISO/IEC 17025:2017, 7.8.8",
    ),
    "certificate_withdrawn": Meaning(
        "The certificate was withdrawn as wrong; no reading may ever have been judged by it.",
        "证书因有误被撤回，任何读数均不得据其评定。",
        "ISO/IEC 17025:2017, 7.10",
    ),
    "instrument_adjusted": Meaning(
        "The instrument was adjusted after its calibration and not calibrated again.",
        "仪表校准后又经调整，且未重新校准。",
        "VIM 3.11",
    ),
    "instrument_damaged": Meaning(
        "The instrument was damaged after its calibration and not calibrated again.",
        "仪表校准后损坏，且未重新校准。",
        "ISO/IEC 17025:2017, 6.4.9",
    ),
    "verification_failed": Meaning(
        "The instrument failed its latest verification.",
        "仪表最近一次检定不合格。",
        "VIM 2.44",
    ),
    "instrument_mismatch": Meaning(
        "The certificate is bound for another instrument than the one that the parameters name.",
        "证书绑定的仪表编号与参数集所载不一致。",
        "VIM 2.41",
    ),
    "certificate_unsigned": Meaning(
        "The certificate is a digital one that nobody has signed: anyone may have written or changed it.",
        "该数字校准证书未经签名，任何人都可能编写或改动。",
        "ISO/IEC 17025:2017, 7.11.3",
    ),
    "certificate_signer_untrusted": Meaning(
        "No configured root vouches for whoever signed the certificate.",
        "没有已配置的根证书为该证书的签名人担保。",
        "RFC 5280 §6",
    ),
    "certificate_signer_expired": Meaning(
        "The signer's certificate, or one above it, was not in force when the signature is known to have existed.",
        "在签名可证实存在的时刻，签名人证书或其上级证书不在有效期内。",
        "RFC 5280 §6.1.3",
    ),
    "certificate_signer_revoked": Meaning(
        "The signer's certificate, or one above it, was revoked when the signature is known to have existed.",
        "在签名可证实存在的时刻，签名人证书或其上级证书已被吊销。",
        "RFC 5280 §6.3",
    ),
    "certificate_revocation_unknown": Meaning(
        "Nothing at hand says whether the signer's certificate was revoked.",
        "没有资料说明签名人证书是否已被吊销。",
        "RFC 5280 §6.3",
    ),
    "signing_time_unproven": Meaning(
        "No trusted timestamp proves when the certificate was signed: only that it was there at its first import.",
        "没有可信时间戳证明证书的签名时间，仅能证明首次导入时已存在。",
        "ETSI EN 319 102-1 §5.6.2",
    ),
    "from_class": Meaning(
        "The certificate states a class and no errors; its uncertainty is the class's (MPE/√3, rectangular).",
        "证书仅给出准确度等级，不确定度由等级得出（MPE/√3，矩形分布）。",
        "GUM 4.3.7",
    ),
    # hierarchy.py
    "standards_chain_incomplete": Meaning(
        "The standards behind the certificate are not followed up to a national institute: a certificate is not "
        "held, has no due date or names none above it.",
        "证书所用标准器未能追溯至国家计量院：缺少某级证书，或证书无到期日、未写明上一级标准器。",
        "VIM 2.42; ISO/IEC 17025:2017, 6.5.1",
    ),
    "standards_link_invalid": Meaning(
        "A standard behind the certificate had no valid one when it was used: its certificate was not in force "
        "then, or is not what the one below names.",
        "证书所用标准器使用时无有效证书：其证书当时未生效、已过期或失效，或与下级证书所载不符。",
        "ISO/IEC 17025:2017, 6.4.6, 6.5.1",
    ),
    "standards_ratio_exceeded": Meaning(
        "A standard behind the certificate is too uncertain for the calibration that it carried.",
        "证书所用标准器的不确定度对所做校准而言过大。",
        "docs/configuration.md, standard_ratio",
    ),
    # comparison_facts.py
    "comparison_missing": Meaning(
        "The channel's plan asks for comparisons with a reference in place, and none has come to a result yet.",
        "通道计划要求现场比对，但尚无有结论的比对。",
        "ISO/IEC 17025:2017, 7.7.1",
    ),
    "comparison_overdue": Meaning(
        "The interval since the last passed comparison with a reference is over.",
        "距最近一次合格比对已超过规定间隔。",
        "ILAC-G24 / OIML D 10:2022",
    ),
    "comparison_failed": Meaning(
        "The channel failed its last comparison with a reference.",
        "通道最近一次与标准的比对不合格。",
        "ISO 13528; JCGM 106:2012, 8.2",
    ),
    "suspect_since_comparison": Meaning(
        "A later comparison found the instrument out of its limits, at some time since the last one that passed.",
        "此后的比对发现仪表超差，起始时间不明，但不早于上一次合格比对。",
        "ISO/IEC 17025:2017, 6.4.9, 7.10",
    ),
    "comparison_inconclusive": Meaning(
        "The channel's last comparison proved nothing either way.",
        "通道最近一次比对无法得出结论。",
        "JCGM 106:2012, 8.2.3",
    ),
    "drift_detected": Meaning(
        "The control chart of the channel's comparisons is out of its limits since the one before.",
        "通道比对控制图自前一次比对后超出控制限。",
        "VIM 4.21",
    ),
    "zero_span_failed": Meaning(
        "The analyser's last check with zero or span gas failed, or its chart is out of its limits.",
        "分析仪最近一次零点或量程检查不合格，或控制图超限。",
        "EN 14181, QAL3",
    ),
    "zero_span_overdue": Meaning(
        "The interval since the last check with zero or span gas is over.",
        "距最近一次零点或量程检查已超过规定间隔。",
        "EN 14181, QAL3",
    ),
    # operating_point.py
    "outside_calibrated_range": Meaning(
        "The operating point left the range that the certificate covers.",
        "工作点超出证书覆盖范围。",
        "VIM 4.7",
    ),
    "range_by_mean": Meaning(
        "Only the mean operating point is known; within the interval it may have left the range.",
        "仅知工作点平均值，时段内可能曾超出范围。",
        "VIM 4.7",
    ),
    "range_unknown": Meaning(
        "The certificate states no range for a quantity that the meter reports as the channel's operating point.",
        "证书未给出表计可报告的工作点量的范围。",
        "VIM 4.7",
    ),
    "operating_point_unknown": Meaning(
        "The operating point of this interval is not known, so the range could not be judged.",
        "本时段工作点未知，无法评定是否在范围内。",
        "VIM 4.7",
    ),
    "outside_rated_conditions": Meaning(
        "An influence that the meter measures left the rated operating conditions of the instrument.",
        "表计所测的影响量超出仪表的额定工作条件。",
        "VIM 4.9",
    ),
    "rated_conditions_unknown": Meaning(
        "The channel that should say whether the instrument is within its rated operating conditions does not.",
        "应反映仪表额定工作条件的通道未给出读数。",
        "VIM 4.9",
    ),
    # stating.py and error_conformity.py
    "uncertainty_unknown": Meaning(
        "A certificate is in force, and yet the uncertainty is not known: the operating point is not one of its"
        " calibrated points or between two, two of these are at one value, a unit is not the quantity's, or the"
        " repeatability is to come from a comparison and none was passed before.",
        "证书有效，但不确定度未知：工作点不在校准点之间，同一值有两个校准点，单位与被测量不符，或重复性取自比对而此前没有合格的比对。",
        "VIM 2.41; GUM 3.1.2",
    ),
    "uncertainty_above_target": Meaning(
        "The expanded uncertainty of the reading is larger than the target for this channel.",
        "读数的扩展不确定度大于该通道的目标不确定度。",
        "VIM 2.34",
    ),
    "mpe_exceeded": Meaning(
        "The calibrated error at this operating point is beyond the maximum permissible error of the class.",
        "该工作点的校准误差超出所属等级的最大允许误差。",
        "JCGM 106:2012, 8; VIM 4.26",
    ),
    "mpe_not_proven": Meaning(
        "The calibration does not prove that the error at this operating point is within the maximum permissible.",
        "校准结果不足以证明该工作点的误差在最大允许误差之内。",
        "JCGM 106:2012, 8; VIM 4.26",
    ),
    # plausibility.py and balance.py
    "value_stuck": Meaning(
        "The value did not change for longer than its plausibility limit allows.",
        "数值保持不变的时间超过合理性限值。",
        "docs/configuration.md, plausibility files",
    ),
    "value_spike": Meaning(
        "The value is further from those before it than its plausibility limit allows.",
        "数值偏离此前水平超过合理性限值。",
        "docs/configuration.md, plausibility files",
    ),
    "rate_of_change": Meaning(
        "The value changed faster than its plausibility limit allows.",
        "数值变化速率超过合理性限值。",
        "docs/configuration.md, plausibility files",
    ),
    "balance_violated": Meaning(
        "Channels that should balance, such as sub-meters and their total, differ by more than the tolerance.",
        "应当平衡的通道（如分表与总表）之差超过允差。",
        "docs/configuration.md, plausibility files",
    ),
    # plant_balance.py
    "plant_balance_violated": Meaning(
        "Over this hour or day registers of several meters that should balance differ by more than the tolerance.",
        "在本时段所属的小时或日内，应当平衡的各表累计量之差超过允差。",
        "docs/configuration.md, plausibility files",
    ),
    "limits_inapplicable": Meaning(
        "A plausibility limit or balance does not fit the channel: it has another kind, quantity or unit.",
        "合理性限值或平衡关系与通道不符：类型、量或单位不同。",
        "docs/configuration.md, plausibility files",
    ),
    # data_validity.py
    "samples_insufficient": Meaning(
        "The interval has fewer samples than the scheme's data validity demands.",
        "时段内样本数不满足方案的数据有效性要求。",
        "HJ 75-2017; HJ 212-2017, Annex D; the scheme's data_validity",
    ),
    # reference_gas.py
    "reference_gas_expired": Meaning(
        "The gas of the channel's last zero or span check was used after its certificate's last day.",
        "通道最近一次零点或量程检查所用标准气体已过其证书有效期。",
        "ISO 6141:2015; ISO 17034:2016",
    ),
}

_CACHE: dict[tuple[str, int | None], Finding] = {}


def finding(code: str, channel: int | None = None) -> Finding:
    """One object per code and channel: they recur in every message and are compared and hashed a lot."""
    known = _CACHE.get((code, channel))
    if known is None:
        known = _CACHE[code, channel] = Finding(code, channel)
    return known


def in_order(findings: list[Finding]) -> tuple[Finding, ...]:
    """Each finding once, in an order that does not depend on how it was found."""
    return tuple(sorted(set(findings), key=_order))


def _order(found: Finding) -> tuple[int, str]:
    return (found.channel or 0, found.code)
