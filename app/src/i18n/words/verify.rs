//! Checking an invoice. Only the server writes these.

words! {
    // Checking an invoice
    verify_title: "Check an invoice", "核对账单";
    verify_lead: "Both signatures of every receipt, each second to money, all sums. The file does not leave this browser.", "核对每张收据的双方签名、每一秒的费用和全部合计。文件不会离开此浏览器。";
    verify_choose: "The invoice as JSON", "JSON 格式的账单";
    verify_drop: "Choose the file, or drop it here. Every job's invoice can be had as JSON.", "选择文件，或拖到此处。每个任务的账单都可下载为 JSON。";
    verify_noscript: "Checking here needs JavaScript. The command below does the same without a browser.", "在此核对需要 JavaScript。下面的命令无需浏览器即可完成同样的核对。";
    verify_busy: "Checking", "正在核对";
    verify_unreadable: "This file cannot be read as text, or is larger than 256 MiB.", "此文件无法作为文本读取，或超过 256 MiB。";
    verify_fits: "Every receipt is signed by both sides, the sums are right.", "每张收据都有双方签名，各项合计正确。";
    verify_wrong: "This invoice does not hold. Findings:", "此账单有误。发现的问题数：";
    verify_more: "Findings that are not listed:", "未列出的问题数：";
    verify_expected: "Expected:", "应为：";
    verify_found: "Found:", "实为：";
    verify_so_far: "So far: the job or the month goes on, and more will be added.", "截至目前：任务或当月尚未结束，还会增加。";
    verify_ends: "Of each lease its last receipt alone is in here; all of them are in the jobs' receipts.", "此处每个租约只含最后一张收据；全部收据见各任务。";
    verify_leases: "Leases", "租约";
    verify_receipts: "Receipts", "收据";
    verify_signatures: "Signatures", "签名";
    verify_seconds: "Seconds delivered", "交付秒数";
    verify_gross: "Price, IO", "价格（IO）";
    verify_fee: "Fee, IO", "手续费（IO）";
    verify_charged: "Charged, IO", "已收（IO）";
    verify_refunded: "Given back, IO", "已退（IO）";
    verify_energy: "Energy, as the workers say", "机器自报能耗";
    verify_number: "Number", "编号";
    verify_about: "For", "内容";
    verify_customer: "Customer", "客户";
    verify_issued: "Issued", "开具时间";
    verify_key: "Platform's key", "平台公钥";
    verify_how_title: "Without this page", "不用此页面核对";
    verify_how: "The same check runs in a terminal, without a network. What is checked, and the bytes that are signed, stand in docs/receipts.md.", "同样的核对可在终端中离线运行。核对内容与被签名的字节见 docs/receipts.md。";
    rule_document: "This is not an invoice of this format.", "这不是此格式的账单。";
    rule_form: "This is not written as the platform writes it.", "写法与平台开具的不同。";
    rule_signature: "The platform's signature does not fit: the document was changed.", "平台签名不符：文件被改动过。";
    rule_platform_key: "The key is not this platform's.", "公钥不属于本平台。";
    rule_terms: "A key or a fee is none.", "公钥或费率无效。";
    rule_bytes: "The receipt cannot be read.", "收据无法读取。";
    rule_line: "The receipt is not of this line.", "收据不属于此行。";
    rule_worker_signature: "The worker's signature does not fit.", "机器的签名不符。";
    rule_countersignature: "The platform's countersignature does not fit.", "平台的副署签名不符。";
    rule_gap: "Receipts are missing before this one.", "此收据之前缺少收据。";
    rule_repeated: "This receipt is there twice.", "此收据重复出现。";
    rule_order: "This receipt stands behind a later one.", "此收据排在更晚的收据之后。";
    rule_overlap: "Another receipt has the same number.", "另有收据使用同一编号。";
    rule_link: "The receipt does not name the one before it.", "收据没有指向前一张收据。";
    rule_late: "The receipt comes after the lease's last.", "收据晚于租约的最后一张。";
    rule_backwards: "The receipt tells less than the one before it.", "收据的数值小于前一张。";
    rule_amount: "The receipt's amount is not price × seconds.", "收据金额不等于单价 × 秒数。";
    rule_charge: "What was charged is not what these seconds cost.", "收取的金额与这些秒数的费用不符。";
    rule_line_sum: "The line does not say what its receipts come to.", "此行与其收据的合计不符。";
    rule_total: "The total is not the sum of the lines.", "总计不等于各行之和。";
    rule_subject: "This does not belong to this invoice, or is there twice.", "此项不属于本账单，或重复出现。";
    rule_period: "This is outside the invoice's time.", "此项不在账单的时间范围内。";
    rule_refund: "More was given back than was paid.", "退款多于已付金额。";
}
