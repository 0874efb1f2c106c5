-- How text becomes values, once for all files. `mark` is the file's decimal mark, `dates` its order of dates.
-- Only the client's own currency may stand in the cell, in signs or letters. own_currency and own_zone are made when the sources are opened.
CREATE OR REPLACE MACRO half_width(x) AS translate(x, '０１２３４５６７８９．，－＋（）％￥＄−', '0123456789.,-+()%¥$-');
CREATE OR REPLACE MACRO plain_number(x) AS regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(trim(half_width(CAST(x AS VARCHAR))), '\s+%$', '%'),
    '^([-+(]?)\s*' || own_currency() || '\s*|\s*' || own_currency() || '(\)?-?)$', '\1\2'), '(\d)[\s\x{00A0}\x{202F}\x{2009}''’](\d{3})\b', '\1\2', 'g'),
    '^\((.*)\)$', '-\1'), '^(.*\d)-$', '-\1');
-- Marks between thousands stand every three digits, or in India after the last three every two.
CREATE OR REPLACE MACRO number_text(mark, x) AS CASE
    WHEN mark = ',' AND regexp_full_match(x, '[-+]?(\d{1,3}(\.\d{3})+|\d{1,2}(\.\d{2})+\.\d{3}|\d+)?(,\d+)?%?') THEN replace(replace(x, '.', ''), ',', '.')
    WHEN mark <> ',' AND regexp_full_match(x, '[-+]?(\d{1,3}(,\d{3})+|\d{1,2}(,\d{2})+,\d{3}|\d+)?(\.\d+)?([eE][-+]?\d+)?%?') THEN replace(x, ',', '')
    END;
CREATE OR REPLACE MACRO finite(x) AS CASE WHEN isfinite(x) THEN x END;
CREATE OR REPLACE MACRO as_number(x) AS
    finite(TRY_CAST(rtrim(x, '%') AS DOUBLE)) / CASE WHEN suffix(x, '%') THEN 100 ELSE 1 END;
-- The list of one carries the plain text, which would else be worked out anew wherever it is named.
CREATE OR REPLACE MACRO amount_of(mark, x) AS list_transform([plain_number(x)], lambda t: as_number(number_text(mark, t)))[1];
CREATE OR REPLACE MACRO truth_of(x) AS CASE
    WHEN lower(CAST(x AS VARCHAR)) IN ('true', 't', 'yes', 'y', '1', 'ja', 'oui', 'wahr', '是') THEN TRUE
    WHEN lower(CAST(x AS VARCHAR)) IN ('false', 'f', 'no', 'n', '0', 'nein', 'non', 'falsch', '否') THEN FALSE END;
CREATE OR REPLACE MACRO has_offset(x) AS regexp_matches(x, '\d:\d\d.*([+-]\d\d:?\d\d|[+-]\d\d|Z| ?UTC| ?GMT)$');
-- What is not written in digits alone goes through usual_spelling (moments.py), which the engine is given when the sources are opened.
CREATE OR REPLACE MACRO tidy(x) AS CASE WHEN regexp_full_match(x, '\d{4}-[\d:. T+-]*Z?|\d{1,4}[-/.][\d/.-]*[ T]?[\d: +-]*(?: [AP]M)?Z?|\d{5}([.,]\d+)?|\d{8}|\d{12}|\d{14}')
    THEN x ELSE usual_spelling(x) END;
-- A day in digits with its year first; years of two digits are of this century. Five digits are a spreadsheet's count of days.
CREATE OR REPLACE MACRO year_first(dates, x) AS CASE
    WHEN dates = 'month first' THEN regexp_replace(x, '^(\d{1,2})[-/.](\d{1,2})[-/.](?:(\d{4})|(\d{2}))\b', CASE WHEN regexp_matches(x, '^[^ T]*\d{4}') THEN '\3-\1-\2' ELSE '20\4-\1-\2' END)
    ELSE regexp_replace(x, '^(\d{1,2})[-/.](\d{1,2})[-/.](?:(\d{4})|(\d{2}))\b', CASE WHEN regexp_matches(x, '^[^ T]*\d{4}') THEN '\3-\2-\1' ELSE '20\4-\2-\1' END) END;
CREATE OR REPLACE MACRO tidy_moment(dates, x) AS CASE
    WHEN regexp_matches(x, '^\d{4}-') THEN coalesce(TRY_CAST(x AS TIMESTAMP), try_strptime(x, ['%Y-%m-%d %I:%M:%S %p', '%Y-%m-%d %I:%M %p', '%Y-%m-%d %H.%M.%S']))
    WHEN regexp_matches(x, '^\d{4}[/.年]') THEN try_strptime(x, ['%Y/%m/%d %H:%M:%S', '%Y/%m/%d %H:%M', '%Y/%m/%d', '%Y.%m.%d %H:%M:%S', '%Y.%m.%d %H:%M', '%Y.%m.%d',
        '%Y年%m月%d日', '%Y年%m月%d日 %H:%M', '%Y年%m月%d日 %H:%M:%S', '%Y年%m月%d日 %H时%M分%S秒', '%Y年%m月%d日 %I:%M %p', '%Y/%m/%d %I:%M %p', '%Y/%m/%d %I:%M:%S %p'])
    WHEN regexp_full_match(x, '[3-5]\d{4}([.,]\d+)?')
        THEN TIMESTAMP '1899-12-30' + to_seconds(CAST(round(86400 * CAST(replace(x, ',', '.') AS DOUBLE)) AS BIGINT))
    WHEN regexp_full_match(x, '\d{8}|\d{12}|\d{14}') THEN try_strptime(x, ['%Y%m%d', '%Y%m%d%H%M', '%Y%m%d%H%M%S'])
    WHEN suffix(x, 'M') THEN try_strptime(year_first(dates, x), ['%Y-%m-%d %I:%M:%S %p', '%Y-%m-%d %I:%M %p'])
    ELSE TRY_CAST(year_first(dates, x) AS TIMESTAMP) END;
CREATE OR REPLACE MACRO local_moment(dates, x) AS list_transform([tidy(x)], lambda t: tidy_moment(dates, t))[1];
-- Reckoned by hand: the engine's own reading of offsets is a hundred times slower.
CREATE OR REPLACE MACRO offset_part(x, part) AS
    coalesce(TRY_CAST(regexp_extract(x, '([+-])(\d\d)', 1) || nullif(regexp_extract(x, '[+-](\d\d):?(\d\d)?$', part), '') AS INTEGER), 0);
CREATE OR REPLACE MACRO offset_seconds(x) AS 3600 * offset_part(x, 1) + 60 * offset_part(x, 2);
CREATE OR REPLACE MACRO with_offset(dates, x) AS
    tidy_moment(dates, trim(regexp_replace(x, '\s*(Z|UTC|GMT|[+-]\d\d(:?\d\d)?)$', '')))
    - to_seconds(offset_seconds(regexp_extract(x, '(Z|UTC|GMT|[+-]\d\d(:?\d\d)?)$')));
-- A text as a moment in UTC; `zone` holds for those that carry no offset. A bare date has no zone: it is that day on the shop's own clock.
-- The list of one carries what would else be worked out anew wherever it is named.
CREATE OR REPLACE MACRO moment_of(dates, zone, x) AS list_transform([tidy(x)], lambda t: CASE WHEN has_offset(t) THEN with_offset(dates, t)
    WHEN contains(t, ':') OR contains(t, '时') THEN timezone('UTC', timezone(zone, tidy_moment(dates, t)))
    ELSE timezone('UTC', timezone(own_zone(), tidy_moment(dates, t))) END)[1];
-- A text as a day: an offset is turned into the client's own zone, `own`.
CREATE OR REPLACE MACRO day_of(dates, own, x) AS list_transform([tidy(x)], lambda t: CAST(CASE
    WHEN has_offset(t) THEN timezone(own, timezone('UTC', with_offset(dates, t))) ELSE tidy_moment(dates, t) END AS DATE))[1];
-- Lines of an order that are no goods: a tip, and a gift card, which is paid in advance.
CREATE OR REPLACE MACRO is_tip(name) AS coalesce(regexp_full_match(trim(lower(name)), 'tips?|gratuity|trinkgeld|pourboire|propina|mancia|fooi|gorjeta|小费|チップ'), FALSE);
CREATE OR REPLACE MACRO is_gift_card(name) AS coalesce(regexp_matches(lower(name),
    '^(.*\b)?(e-?)?(gift ?(card|certificate|voucher)s?|geschenk(gutschein|karte)e?n?|carte[ -]cadeau|tarjeta (de )?regalo|vale[ -]presente|buono regalo|cadeaubon)( ?[-/(:·].*| ?[$€£]? ?\d.*)?$|礼品卡|礼品券|ギフトカード'), FALSE);
CREATE OR REPLACE MACRO spoilt(x) AS regexp_full_match(x,
    '#(REF!|N/A|VALUE!|NAME\?|DIV/0!|NULL!|NUM!|SPILL!|CALC!|NV|BEZUG!|WERT!|ZAHL!|N/V|VALEUR!|NOM\?|NOMBRE!|#+)|=?#REF!.*');
CREATE OR REPLACE MACRO rounded_id(x) AS regexp_full_match(x, '\d([.,]\d+)?[eE]\+\d+');
-- The days that a title or comment names, such as "August 1, 2026 - August 31, 2026", in their order.
CREATE OR REPLACE MACRO days_named(dates, x) AS list_transform(regexp_extract_all(x, '\b20\d{6}\b|\d{4}[-/年]\d{1,2}[-/月]\d{1,2}日?' ||
    '|\p{L}{3,9} \d{1,2}, \d{4}|\d{1,2}\.? \p{L}{3,9} \d{4}|\d{1,2}[./]\d{1,2}[./]\d{4}'),
    lambda day: CAST(local_moment(dates, day) AS DATE));
-- The last day of the orders, for files that show how things are now; set when the sources are open.
CREATE OR REPLACE MACRO last_order_day() AS CAST(NULL AS DATE);
-- Surveys: an answer as a number, be it "9", "9 - very likely", "5分" or a step of a usual scale in words.
CREATE OR REPLACE MACRO scale_step(x) AS CASE
    WHEN x IN ('very dissatisfied', 'extremely dissatisfied', 'strongly disagree', 'sehr unzufrieden', 'stimme gar nicht zu',
        '非常不满意', '很不满意', '非常不同意') THEN 1
    WHEN x IN ('dissatisfied', 'somewhat dissatisfied', 'disagree', 'unzufrieden', 'eher unzufrieden', 'stimme eher nicht zu',
        '不满意', '不太满意', '不同意') THEN 2
    WHEN x IN ('neutral', 'neither satisfied nor dissatisfied', 'neither agree nor disagree', 'teils/teils', 'teils, teils',
        'weder zufrieden noch unzufrieden', '一般', '不确定') THEN 3
    WHEN x IN ('satisfied', 'somewhat satisfied', 'agree', 'zufrieden', 'eher zufrieden', 'stimme eher zu', '满意', '比较满意',
        '同意', '比较同意') THEN 4
    WHEN x IN ('very satisfied', 'extremely satisfied', 'strongly agree', 'sehr zufrieden', 'stimme voll zu', '非常满意', '很满意',
        '非常同意') THEN 5 END;
CREATE OR REPLACE MACRO answer_score(x) AS coalesce(scale_step(lower(x)), TRY_CAST(replace(
    regexp_extract(x, '^(\d{1,3}([.,]\d+)?)\s*(分|$|[-–—=:(（]\s*[^\d\s])', 1), ',', '.') AS DOUBLE));
-- The highest usual answer to a question: three in a hundred may lie off the scale.
CREATE OR REPLACE MACRO usual_top(question, answer) AS quantile_disc(answer_score(answer), 0.97) OVER (PARTITION BY question);
-- A question that asks for words of one's own; one that asks which of several does not.
CREATE OR REPLACE MACRO asks_freely(question) AS regexp_matches(question, '(?i)\b(comments?|suggestions?|remarks?|anything else|' ||
    'own words|anregung(en)?|anmerkung(en)?|kommentare?|verbesserungsvorschl[aä]ge?|eigenen worten|commentaires?|remarques?)\b' ||
    '|建议|想说|补充说明|留言') AND NOT regexp_matches(question, '(?i)\b(which|welche[rs]?|quel(le)?s?|choose|select)\b|哪|选');
-- What kind of question a column is, from its words and all its answers; in doubt text, which is searched for names.
-- `who` tells people apart, so that a file that is there twice counts once. A question is open where the file's second
-- heading says so (`open`, one question a line), where it asks for one's own words, or where answers are many or long.
CREATE OR REPLACE MACRO question_kind(question, answer, who, open) AS CASE
    WHEN count(answer_score(answer)) OVER (PARTITION BY question) >= greatest(0.9 * count(answer) OVER (PARTITION BY question), 1)
        AND usual_top(question, answer) <= 10
    THEN CASE WHEN regexp_matches(question, '(?i)recommend|empfehl|推荐') AND (usual_top(question, answer) > 5
            OR min(answer_score(answer)) OVER (PARTITION BY question) = 0) THEN 'nps'
        WHEN regexp_matches(question, '(?i)satisf|zufrieden|满意') THEN 'csat' ELSE 'scale' END
    WHEN bool_or(contains(answer, '┋') OR answer = question OR suffix(question, ' - ' || answer)) OVER (PARTITION BY question) THEN 'choice'
    WHEN list_contains(string_split(open, chr(10)), question) OR asks_freely(question) THEN 'text'
    WHEN (count(DISTINCT answer) OVER (PARTITION BY question)
        <= least(12, count(DISTINCT CASE WHEN answer IS NOT NULL THEN who END) OVER (PARTITION BY question) / 2)
        AND max(length(answer)) OVER (PARTITION BY question) <= 60) THEN 'choice'
    ELSE 'text' END;
-- The top of a scale: as the question says it, as in (1-7), else the next of 5, 7 and 10.
CREATE OR REPLACE MACRO scale_top(question, answer) AS coalesce(
    TRY_CAST(regexp_extract(question, '\b[01]\s*(?:-|–|—|~|to|bis|到|至)\s*(\d{1,2})', 1) AS INTEGER),
    CASE WHEN usual_top(question, answer) <= 5 THEN 5 WHEN usual_top(question, answer) <= 7 THEN 7 ELSE 10 END);
-- Whether an answer says who somebody is: email, phone, name or other.
CREATE OR REPLACE MACRO contact_kind(question, answer) AS CASE
    WHEN regexp_full_match(answer, '[^@\s]+@[^@\s]+\.[^@\s]+') THEN 'email'
    WHEN regexp_matches(question, '(?i)手机|电话|phone|mobile|telefon|handynummer')
        AND length(regexp_replace(answer, '\D', '', 'g')) >= 6 THEN 'phone'
    WHEN regexp_matches(question, '(?i)姓名|您的名字|\b(first|last|full|your|sur) ?name\b|^\W*\d*\W*name\W*$|vorname|nachname|ihr name')
        THEN 'name'
    WHEN regexp_matches(question, '(?i)地址|身份证|微信号|\b(postal|home|street|your) address\b|anschrift') THEN 'other' END;
