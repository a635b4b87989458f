//! Countries by their two letters (ISO 3166-1), and the continents they lie in: what a machine may say of where it stands, and what a
//! job may ask. One list for all who read a country, so that nobody takes what another finds nowhere.
//!
//! By the United Nations' geoscheme (M49), with the Caribbean and Central America in North America.

pub const AFRICA: &str = "AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW IO KE KM LR LS LY MA MG ML MR MU MW MZ NA \
    NE NG RE RW SC SD SH SL SN SO SS ST SZ TD TF TG TN TZ UG YT ZA ZM ZW";
pub const ASIA: &str = "AE AF AM AZ BD BH BN BT CN CY GE HK ID IL IN IQ IR JO JP KG KH KP KR KW KZ LA LB LK MM MN MO MV MY NP OM PH PK \
    PS QA SA SG SY TH TJ TL TM TR TW UZ VN YE";
pub const EUROPE: &str = "AD AL AT AX BA BE BG BY CH CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI LT LU LV MC MD ME MK MT \
    NL NO PL PT RO RS RU SE SI SJ SK SM UA VA XK";
pub const NORTH_AMERICA: &str = "AG AI AW BB BL BM BQ BS BZ CA CR CU CW DM DO GD GL GP GT HN HT JM KN KY LC MF MQ MS MX NI PA PM PR SV SX TC TT \
    US VC VG VI";
pub const OCEANIA: &str =
    "AS AU CC CK CX FJ FM GU HM KI MH MP NC NF NR NU NZ PF PG PN PW SB TK TO TV UM VU WF WS";
pub const SOUTH_AMERICA: &str = "AR BO BR BV CL CO EC FK GF GS GY PE PY SR UY VE";

/// Two letters that are in use beside the standard's, and the country's own.
const OTHERS: [(&str, &str); 2] = [("EL", "GR"), ("UK", "GB")];

/// The code of a country by its two letters, in capitals or not. `None`: there is no such country.
pub fn known(text: &str) -> Option<&'static str> {
    let code = text.trim().to_ascii_uppercase();
    let other = OTHERS.iter().find(|(written, _)| *written == code);
    let code = other.map_or(&*code, |(_, code)| code);
    [AFRICA, ASIA, EUROPE, NORTH_AMERICA, OCEANIA, SOUTH_AMERICA]
        .iter()
        .find_map(|codes| codes.split(' ').find(|known| *known == code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_is_one_of_the_list_however_it_is_written() {
        for (written, code) in [
            ("CH", Some("CH")),
            (" ch ", Some("CH")),
            ("UK", Some("GB")),
            ("uk", Some("GB")),
            ("EL", Some("GR")),
            ("XX", None),
            ("EU", None),
            ("C", None),
            ("CHE", None),
            ("", None),
            ("AD AE", None),
        ] {
            assert_eq!(known(written), code, "{written}");
        }
    }
}
