-- check: organizations_with_unknown_currency
-- title: Organisations whose currency the enhanced schema does not know
-- severity: warn
-- phases: 0,3
-- expected: one of USD, EUR, GBP, JPY, CAD, AUD, CHF, CNY, INR, BRL, or a currency that was added
-- action: correct organization.settings, or decide in 03_financial_management.ipynb: map the code to a currency of the schema (currency_map) or add it (currency_add); it is recorded in mantis_runbook.decision, and nothing is guessed
-- reads: organization once
SELECT
    format('organisation %s', id) AS object,
    1::bigint AS found,
    CASE
        WHEN btrim(code) = '' THEN 'an empty text, which names none and is not taken for USD'
        WHEN upper(btrim(code)) IN ('USD', 'EUR', 'GBP', 'JPY', 'CAD', 'AUD', 'CHF', 'CNY', 'INR', 'BRL')
        THEN format('written otherwise than %s', upper(btrim(code)))
        WHEN code !~ '^[A-Za-z]{3}$' THEN 'not a code of three letters'
        WHEN upper(code) = ANY (
            '{AED,AFN,ALL,AMD,AOA,ARS,AUD,AWG,AZN,BAM,BBD,BDT,BHD,BIF,BMD,BND,BOB,BRL,BSD,BTN,BWP,BYN,BZD,CAD,CDF,CHF,
              CLP,CNY,COP,CRC,CUP,CVE,CZK,DJF,DKK,DOP,DZD,EGP,ERN,ETB,EUR,FJD,FKP,GBP,GEL,GHS,GIP,GMD,GNF,GTQ,GYD,HKD,HNL,
              HTG,HUF,IDR,ILS,INR,IQD,IRR,ISK,JMD,JOD,JPY,KES,KGS,KHR,KMF,KPW,KRW,KWD,KYD,KZT,LAK,LBP,LKR,LRD,LSL,LYD,MAD,MDL,
              MGA,MKD,MMK,MNT,MOP,MRU,MUR,MVR,MWK,MXN,MYR,MZN,NAD,NGN,NIO,NOK,NPR,NZD,OMR,PAB,PEN,PGK,PHP,PKR,PLN,PYG,QAR,RON,
              RSD,RUB,RWF,SAR,SBD,SCR,SDG,SEK,SGD,SHP,SLE,SOS,SRD,SSP,STN,SYP,SZL,THB,TJS,TMT,TND,TOP,TRY,TTD,TWD,TZS,UAH,
              UGX,USD,UYU,UZS,VES,VND,VUV,WST,XAF,XCD,XCG,XOF,XPF,YER,ZAR,ZMW,ZWG}'::text[]
        )
        THEN format('%s is a currency, but no label of currency_code', upper(code))
        ELSE format('%s is no currency of ISO 4217 that is money in use', upper(code))
    END AS detail
FROM organization
CROSS JOIN LATERAL (SELECT settings ->> 'currency' AS code) AS named
WHERE code NOT IN ('USD', 'EUR', 'GBP', 'JPY', 'CAD', 'AUD', 'CHF', 'CNY', 'INR', 'BRL')
  AND NOT EXISTS (SELECT FROM pg_enum WHERE enumtypid = to_regtype('public.currency_code') AND enumlabel = code)
ORDER BY id
