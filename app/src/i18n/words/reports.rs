//! The weekly earnings reports, and the check of a proof. Only the server writes these, but for the page's title and lead.

words! {
    reports_title: "Earnings reports", "收益报告";
    reports_lead: "What owners earned in each closed week, as one hash on the chain. Anyone with a proof can check it here, against the chain itself.", "每个已结束的星期中机主的收益，以一个哈希写在链上。持有证明的人都可在此直接向链核对。";
    reports_weeks: "Closed weeks", "已结束的星期";
    reports_none: "No week has been reported yet. A report is made when a week (Monday to Sunday, UTC) is over.", "还没有报告。每个星期（周一至周日，UTC）结束后生成报告。";
    reports_how_title: "Without this page", "不用此页面核对";
    reports_how: "The same check runs in a terminal, with a node of your choice. The bytes that are hashed stand in docs/settlement.md.", "同样的核对可在终端中进行，并可自选节点。被哈希的字节见 docs/settlement.md。";
    reports_node: "The chain's node that this page asks:", "此页面询问的链节点：";
    report_week: "Week from", "星期（起始日）";
    report_version: "Version", "版本";
    report_owners: "Owners", "机主数";
    report_owner: "Owner", "机主";
    report_amount: "Earned, IO", "收益（IO）";
    report_total: "Earned in all", "收益合计";
    report_root: "Root", "根哈希";
    report_on_chain: "On chain since", "上链时间";
    report_transaction: "Transaction", "交易";
    report_waits: "Not on the chain yet", "尚未上链";
    report_check_title: "Check a proof", "核对证明";
    report_check_text: "The file is read in this browser alone; then this browser asks the chain's node, not IOG.", "文件只在此浏览器中读取；随后浏览器直接询问链节点，而不是 IOG。";
    report_choose: "The proof, iog-earnings-….json", "证明文件 iog-earnings-….json";
    report_drop: "Choose the file, or drop it here. Owners download it from their page of earnings.", "选择文件，或拖到此处。机主可在收益页面下载。";
    report_paste: "Or paste its text", "或粘贴其内容";
    report_check: "Check", "核对";
    report_busy: "Checking, and asking the chain", "正在核对并询问链";
    report_right: "Right. The chain has this report, nothing newer, and this line is in it.", "正确。链上有此报告且没有更新的版本，此行在其中。";
    report_stale: "Stale: this was true and has been corrected since. The version that counts is", "已过期：此证明曾经正确，但之后已更正。有效版本为";
    report_changed: "Refused: something in this proof was changed. Its line does not lead to its root.", "拒绝：此证明被改动过。其内容推不出所写的根哈希。";
    report_other: "Refused: the chain has another report of this week in this version. This proof was not made from it.", "拒绝：链上该星期该版本的报告与此不同，此证明并非出自该报告。";
    report_absent: "Not published: the chain has no report of this week in this version.", "未发布：链上没有该星期该版本的报告。";
    report_other_chain: "Refused: this proof was made for another chain.", "拒绝：此证明属于另一条链。";
    report_other_contract: "Refused: this proof was made for another contract.", "拒绝：此证明属于另一个合约。";
    report_unreadable: "This is no proof of earnings that can be read.", "这不是可读取的收益证明。";
    report_no_chain: "Its line leads to its root. This server names no node of a chain that a browser could ask; the command below takes one.", "其内容与根哈希相符。但此服务器没有可供浏览器询问的链节点，请用下面的命令并指定节点。";
    report_unasked: "Its line leads to its root, but the chain's node did not answer as it should. Try again later.", "其内容与根哈希相符，但链节点没有正常应答，请稍后再试。";
    weeks_title: "Weekly reports", "每周报告";
    weeks_text: "What you earned in each closed week, less what was given back of it. The proof is yours to keep: anyone can check it against the chain.", "您在每个已结束的星期中的收益，已减去退还的部分。请保存证明：任何人都可据此向链核对。";
    weeks_none: "No week in which you earned is closed yet.", "还没有您有收益且已结束的星期。";
    weeks_proof: "Download proof", "下载证明";
    weeks_tax: "Payouts of {}, for taxes (CSV)", "{} 年提现（报税用 CSV）";
    weeks_tax_text: "Each payout that arrived, with what one IO was worth at that time where it was known.", "每笔到账的提现，以及当时已知的 IO 汇率。";
}
