-- How text becomes values, once for all files. `mark` is the file's decimal mark, `dates` its order of dates.
CREATE OR REPLACE MACRO plain_number(x) AS regexp_replace(regexp_replace(regexp_replace(CAST(x AS VARCHAR),
    '[\s\x{00A0}\x{202F}''’€$£¥]|^[A-Z]{3}|[A-Z]{3}$', '', 'g'), '^\((.*)\)$', '-\1'), '^(.*\d)-$', '-\1');
CREATE OR REPLACE MACRO number_text(mark, x) AS CASE
    WHEN mark = ',' AND regexp_full_match(x, '[-+]?(\d{1,3}(\.\d{3})+|\d+)?(,\d+)?%?') THEN replace(replace(x, '.', ''), ',', '.')
    WHEN mark <> ',' AND regexp_full_match(x, '[-+]?(\d{1,3}(,\d{3})+|\d+)?(\.\d+)?([eE][-+]?\d+)?%?') THEN replace(x, ',', '')
    END;
CREATE OR REPLACE MACRO as_number(x) AS
    TRY_CAST(rtrim(x, '%') AS DOUBLE) / CASE WHEN suffix(x, '%') THEN 100 ELSE 1 END;
CREATE OR REPLACE MACRO amount_of(mark, x) AS as_number(number_text(mark, plain_number(x)));
CREATE OR REPLACE MACRO truth_of(x) AS CASE
    WHEN lower(CAST(x AS VARCHAR)) IN ('true', 't', 'yes', 'y', '1', 'ja', 'oui', 'wahr', '是') THEN TRUE
    WHEN lower(CAST(x AS VARCHAR)) IN ('false', 'f', 'no', 'n', '0', 'nein', 'non', 'falsch', '否') THEN FALSE END;
CREATE OR REPLACE MACRO has_offset(x) AS regexp_matches(x, '\d:\d\d.*([+-]\d\d:?\d\d|[+-]\d\d|Z| ?UTC| ?GMT)$');
CREATE OR REPLACE MACRO local_moment(dates, x) AS coalesce(TRY_CAST(x AS TIMESTAMP),
    CASE WHEN dates = 'month first' THEN try_strptime(x, ['%m/%d/%Y %H:%M:%S', '%m/%d/%Y %H:%M', '%m/%d/%Y %I:%M:%S %p',
        '%m/%d/%Y %I:%M %p', '%m/%d/%Y', '%m-%d-%Y %H:%M:%S', '%m-%d-%Y %H:%M', '%m-%d-%Y', '%m/%d/%y %H:%M', '%m/%d/%y', '%m.%d.%Y'])
    ELSE try_strptime(x, ['%d/%m/%Y %H:%M:%S', '%d/%m/%Y %H:%M', '%d/%m/%Y %I:%M:%S %p', '%d/%m/%Y %I:%M %p', '%d/%m/%Y',
        '%d.%m.%Y %H:%M:%S', '%d.%m.%Y %H:%M', '%d.%m.%Y', '%d-%m-%Y %H:%M:%S', '%d-%m-%Y %H:%M', '%d-%m-%Y', '%d.%m.%y %H:%M',
        '%d.%m.%y', '%d/%m/%y %H:%M', '%d/%m/%y']) END,
    try_strptime(x, ['%Y/%m/%d %H:%M:%S', '%Y/%m/%d %H:%M', '%Y/%m/%d', '%Y.%m.%d %H:%M:%S', '%Y.%m.%d', '%Y%m%d', '%Y%m%d%H%M%S',
    '%Y年%m月%d日', '%Y-%m-%d %I:%M %p', '%Y-%m-%d %I:%M:%S %p', '%b %d, %Y %I:%M %p', '%b %d, %Y %I:%M:%S %p', '%b %d, %Y, %I:%M %p',
    '%b %d, %Y %H:%M', '%b %d, %Y', '%d %b %Y %H:%M:%S', '%d %b %Y %H:%M', '%d %b %Y', '%B %d, %Y', '%d %B %Y']));
CREATE OR REPLACE MACRO with_offset(x) AS timezone('UTC', coalesce(TRY_CAST(regexp_replace(x, ' (UTC|GMT)$', '+00') AS TIMESTAMPTZ),
    try_strptime(replace(x, ' UTC', ' +0000'), ['%Y-%m-%d %H:%M:%S %z', '%Y-%m-%dT%H:%M:%S%z', '%Y-%m-%d %H:%M:%S%z',
    '%d/%m/%Y %H:%M:%S %z', '%a, %d %b %Y %H:%M:%S %z'])));
-- A text as a moment in UTC; `zone` holds for those that carry no offset.
CREATE OR REPLACE MACRO moment_of(dates, zone, x) AS CASE WHEN x IS NULL THEN NULL
    WHEN has_offset(x) THEN with_offset(x) ELSE timezone('UTC', timezone(zone, local_moment(dates, x))) END;
-- A text as a day: an offset is turned into the client's own zone, `own`.
CREATE OR REPLACE MACRO day_of(dates, own, x) AS CASE WHEN x IS NULL THEN NULL
    WHEN has_offset(x) THEN CAST(timezone(own, timezone('UTC', with_offset(x))) AS DATE) ELSE CAST(local_moment(dates, x) AS DATE) END;
CREATE OR REPLACE MACRO spoilt(x) AS regexp_full_match(x, '#(REF!|N/A|VALUE!|NAME\?|DIV/0!|NULL!|NUM!)|=?#REF!.*');
CREATE OR REPLACE MACRO rounded_id(x) AS regexp_full_match(x, '\d([.,]\d+)?[eE]\+\d+');
