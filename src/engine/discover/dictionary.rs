//! Words that tell what a column holds: common names, places, legal forms, streets, diagnoses. Compact on purpose: a
//! column is judged by the share of its values that hit, so a list needs the common words, not all of them.
//!
//! Latin words are written folded (lower case, without marks); see [`fold`].

use std::collections::HashSet;

use icu_normalizer::DecomposingNormalizerBorrowed;

/// Given names: English, German, French, Spanish and Portuguese, Italian, Dutch, Nordic, Polish, others.
const GIVEN: &str = "james john robert michael william david richard joseph thomas charles christopher daniel matthew anthony \
 donald steven paul andrew joshua kenneth kevin brian george edward ronald timothy jason jeffrey ryan jacob gary nicholas eric \
 jonathan stephen larry justin scott brandon benjamin samuel gregory frank alexander patrick raymond jack dennis jerry tyler \
 aaron jose adam henry nathan douglas zachary peter kyle walter ethan jeremy harold keith christian roger noah gerald carl terry \
 sean austin arthur lawrence jesse dylan bryan joe jordan billy bruce albert willie gabriel logan alan juan wayne roy ralph randy \
 eugene vincent russell elijah louis bobby philip johnny mary patricia jennifer linda elizabeth barbara susan jessica sarah karen \
 lisa nancy betty margaret sandra ashley kimberly emily donna michelle carol amanda dorothy melissa deborah stephanie rebecca \
 sharon laura cynthia kathleen amy angela shirley anna brenda pamela emma nicole helen samantha katherine christine debra rachel \
 carolyn janet catherine maria heather diane ruth julie olivia joyce virginia victoria kelly lauren christina joan evelyn judith \
 megan andrea cheryl hannah jacqueline martha gloria teresa ann sara madison frances kathryn janice jean abigail alice julia judy \
 sophia grace denise amber doris marilyn danielle beverly isabella theresa diana natalie brittany charlotte marie kayla alexis \
 lori liam oliver lucas mason chloe lily ella mia ava harper owen leo oscar harry freddie isla poppy \
 hans peter klaus wolfgang jurgen dieter manfred uwe gunter horst bernd frank stefan andreas matthias markus sebastian florian \
 tobias jan jonas lukas leon finn felix maximilian moritz niklas tim philipp fabian dominik marcel sven torsten holger ralf jorg \
 heinz karl otto friedrich wilhelm ludwig ursula monika petra sabine renate helga karin brigitte ingrid erika andrea gisela \
 claudia susanne gabriele christa anneliese kathe kathe heike birgit silke anja tanja nadine katharina lena leonie marie sophie \
 johanna greta frieda ida clara paula lina mila emilia zoe bjorn sabrina melanie jana ulrike dagmar elke jens kai rainer werner \
 jean pierre michel andre philippe rene louis alain jacques bernard marcel daniel roger robert paul claude christian henri georges \
 nicolas francois laurent olivier julien antoine maxime alexandre thierry pascal guillaume mathieu matthieu sebastien stephane \
 jerome benoit theo hugo lucas gabriel raphael arthur jules adam nathan tom enzo baptiste romain quentin clement remi yves \
 nathalie isabelle sylvie catherine francoise martine christine monique valerie sandrine veronique nicole stephanie sophie celine \
 chantal patricia brigitte camille lea manon emma chloe ines jade louise alice lola anais elodie aurelie charlotte juliette \
 margaux amelie helene renee genevieve maelle oceane pauline mathilde lucie clemence agathe \
 antonio jose manuel francisco juan david javier daniel carlos jesus alejandro miguel rafael pedro pablo angel sergio fernando luis \
 jorge alberto alvaro adrian diego raul ivan enrique ramon vicente ruben oscar andres joaquin santiago eduardo victor roberto mario \
 mateo hugo marcos inigo gonzalo ignacio emilio carmen ana isabel dolores pilar josefa teresa rosa cristina angela antonia \
 mercedes lucia elena laura marta francisca paula concepcion luisa raquel rocio beatriz patricia silvia sofia valentina camila \
 martina alba begona nuria irene montserrat amparo esperanza joao antonio paulo lucas pedro gustavo felipe bruno rodrigo thiago \
 tiago rui nuno ricardo marcelo leonardo mariana juliana fernanda adriana gabriela larissa aline ines catarina leticia beatriz \
 giulia chiara matteo lorenzo alessandro francesca giovanni giuseppe marco luca paolo elena federica daan sem fleur lotte sanne \
 maartje sjoerd noelle lois pieter jeroen willem anouk lars erik anders bjorn soren hakon ingrid astrid sigrid freja lukasz \
 malgorzata pawel katarzyna agnieszka piotr krzysztof tomasz marcin anna zofia tomas jakub oksana dmitri ivan olga natalia elif \
 mehmet ahmet ayse fatma mustafa mohamed mohammed ahmed omar ali fatima layla hassan yusuf priya rahul ravi anil sunita arjun \
 bashir ana rosa lena marco nadia oskar tara sven gunnar jonas femi kofi ewa chloe hana quentin noa david tamar nour fatou \
 misaki shota sakura kenichi naoki hiroshi takashi yuki kenji yoko keiko haruto yui aoi ren kaito takumi akiko naoko ";

/// Family names, without those that are everyday English words.
const FAMILY: &str = "smith johnson williams jones garcia miller davis rodriguez martinez hernandez lopez gonzalez wilson \
 anderson thomas taylor moore jackson martin lee perez thompson harris sanchez clark ramirez lewis robinson walker allen wright \
 scott torres nguyen flores adams nelson rivera campbell mitchell roberts carter gomez phillips evans turner diaz parker cruz \
 edwards collins reyes stewart morris morales murphy rogers gutierrez ortiz morgan cooper peterson bailey reed kelly howard ramos \
 richardson watson chavez bennett mendoza ruiz hughes alvarez castillo sanders patel myers foster jimenez powell jenkins \
 russell sullivan coleman butler henderson barnes fisher vasquez simmons patterson jordan reynolds hamilton graham wallace \
 gibson ellis hunter obrien mcallister washington hawkins fletcher barker harvey shaw armstrong cunningham \
 muller schmidt schneider fischer weber meyer wagner becker schulz hoffmann schafer koch bauer richter klein wolf schroder neumann \
 schwarz zimmermann braun kruger hofmann hartmann lange schmitt werner schmitz krause meier lehmann schmid schulze maier kohler \
 herrmann konig walter mayer huber kaiser fuchs peters lang scholz moller weiss jung hahn schubert vogel friedrich keller gunther \
 frank berger winkler roth beck lorenz baumann franke albrecht schuster simon ludwig bohm winter kraus schumacher kramer vogt \
 stein jager otto gross sommer seidel heinrich brandt haas schreiber graf dietrich ziegler kuhn pohl engel horn busch bergmann \
 thomas voigt sauer arnold pfeiffer lindner grossmann heide \
 bernard dubois durand moreau laurent simon michel lefebvre leroy roux david bertrand morel fournier girard bonnet dupont \
 lambert fontaine rousseau vincent muller lefevre faure andre mercier blanc guerin boyer garnier chevalier francois legrand \
 gauthier perrin robin clement morin nicolas henry roussel mathieu gautier masson marchand duval denis dumont marie lemaire noel \
 meyer dufour meunier brun blanchard giraud joly riviere lucas brunet gaillard barbier arnaud martinez gerard roche renard schmitt \
 roy leroux colin vidal caron picard roger fabre aubert lemoine renaud dumas lacroix olivier philippe bourgeois pierre benoit \
 rey leclerc payet rolland leclercq guillaume lecomte lopez jean dupuy guillot hubert berger carpentier sanchez dupuis moulin \
 deschamps huet petit garcon aubigne berenger chateau hote \
 fernandez moreno munoz alonso romero navarro dominguez vazquez serrano blanco molina suarez ortega delgado castro rubio marin \
 sanz nunez iglesias medina garrido santos castillo cortes lozano guerrero cano prieto mendez calvo gallego vidal leon herrera \
 marquez pena cabrera campos vega diez fuentes carrasco caballero nieto reyes aguilar pascual herrero santana lorenzo hidalgo \
 montero ibanez gimenez ferrer duran vicente benitez mora arias vargas carmona crespo roman pastor soto saez velasco soler moya \
 esteban parra bravo gallardo rojas penalver guell silva santos oliveira souza sousa rodrigues ferreira alves pereira lima gomes \
 costa ribeiro martins carvalho almeida lopes soares fernandes vieira barbosa rocha dias nascimento andrade moreira nunes marques \
 machado mendes freitas cardoso ramos goncalves teixeira pinto correia \
 rossi russo ferrari esposito bianchi romano colombo ricci marino greco conti vries jansen berg bakker visser smit mulder bos vos \
 hoekstra hooft coordes nowak kowalski wisniewski wisniewska wojcik kowalczyk kaminski lewandowski zielinski zielinska dabrowski \
 zolkiewski blaszczyk novak dvorak hansen johansen olsen larsen andersen nielsen jensen johansson andersson karlsson nilsson \
 eriksson lindqvist akesson odegard ivanov ivanova petrov orlov yilmaz kaya demir ozturk haddad hassan khan singh kumar sharma \
 tanaka sato suzuki takahashi watanabe yamamoto nakamura kobayashi ito kato yoshida cohen levi wang li zhang chen liu mensah \
 adeyemi souto raman ibarra iyer oneill ";

/// Japanese family names (with the commonest of China).
const FAMILY_HAN: &str = "佐藤 鈴木 高橋 髙橋 田中 伊藤 渡辺 渡邉 渡邊 山本 中村 小林 加藤 吉田 𠮷田 山田 佐々木 山口 松本 井上 木村 林 斎藤 \
 斉藤 清水 山崎 森 池田 橋本 阿部 石川 山下 中島 石井 小川 前田 岡田 長谷川 藤田 後藤 近藤 村上 遠藤 青木 坂本 福田 太田 西村 藤井 金子 岡本 藤原 中野 三浦 \
 原田 中川 松田 竹内 小野 田村 中山 和田 石田 森田 上田 原 内田 柴田 酒井 宮崎 横山 高木 安藤 宮本 大野 小島 谷口 今井 工藤 高田 増田 丸山 杉山 村田 大塚 \
 新井 平野 河野 欧阳 王 李 张 刘 陈 杨 赵 周 吴 徐";

/// Given names in Han and kana.
const GIVEN_HAN: &str = "美咲 翔太 さくら 健一 ユミ 直樹 陽菜 結衣 葵 凛 蓮 悠真 湊 大翔 陽翔 樹 拓海 健太 大輔 誠 学 翼 亮 隆 茂 豊 博 清 進 \
 浩 弘 実 明 剛 修 恵 愛 舞 彩 優 遥 瞳 薫 茜 綾 楓 結菜 七海 愛子 恵子 久美子 由美 由美子 裕子 智子 真由美 太郎 一郎 次郎 三郎 和夫 秀英 小明 \
 建国 伟 丽 あかり ひなた ゆい あおい はると 花子 香織 沙織 千尋 翔 拓也 達也 和也 哲也 雄太 裕太 康平 駿 大樹 美穂 麻衣 美香 恵美 直美 明美";

/// Characters at the end of many Japanese given names of two or three characters.
const GIVEN_ENDS: &str = "子美太郎介樹斗奈香恵也男雄翔菜花穂絵織代夫彦治司希平輔哉";

/// Cities.
const CITIES: &str = "new-york los-angeles chicago houston phoenix philadelphia san-antonio san-diego dallas san-jose austin \
 jacksonville columbus charlotte indianapolis san-francisco seattle denver washington boston nashville detroit portland memphis \
 louisville baltimore milwaukee albuquerque tucson fresno sacramento atlanta miami oakland minneapolis tulsa cleveland tampa \
 london manchester birmingham liverpool leeds sheffield bristol glasgow edinburgh cardiff dublin belfast toronto vancouver montreal \
 sydney melbourne brisbane perth canon-city omaha raleigh pittsburgh cincinnati orlando \
 berlin hamburg munchen koln frankfurt stuttgart dusseldorf leipzig dortmund essen bremen dresden hannover nurnberg duisburg bochum \
 wuppertal bielefeld bonn munster karlsruhe mannheim augsburg wiesbaden kiel aachen halle magdeburg freiburg krefeld lubeck mainz \
 erfurt rostock kassel potsdam saarbrucken wurzburg regensburg ulm heidelberg wien graz linz salzburg zurich basel bern genf \
 paris marseille lyon toulouse nice nantes montpellier strasbourg bordeaux lille rennes reims toulon saint-etienne le-havre grenoble \
 dijon angers nimes villeurbanne clermont-ferrand le-mans aix-en-provence brest tours amiens limoges annecy perpignan besancon metz \
 orleans rouen mulhouse caen nancy avignon poitiers pau cannes bruxelles geneve lausanne \
 madrid barcelona valencia sevilla zaragoza malaga murcia palma bilbao alicante cordoba valladolid vigo gijon granada a-coruna \
 vitoria elche oviedo cartagena jerez pamplona almeria san-sebastian burgos santander salamanca albacete logrono badajoz huelva leon \
 cadiz toledo ciudad-de-mexico guadalajara monterrey bogota medellin lima santiago buenos-aires lisboa porto coimbra braga \
 sao-paulo rio-de-janeiro brasilia salvador fortaleza belo-horizonte curitiba recife porto-alegre manaus \
 amsterdam rotterdam den-haag utrecht eindhoven s-hertogenbosch roma milano napoli torino firenze bologna venezia warszawa krakow \
 lodz wroclaw poznan gdansk praha budapest stockholm goteborg oslo kobenhavn helsinki istanbul ankara tel-aviv cairo mumbai delhi \
 pune bangalore new-delhi tokyo osaka kyoto yokohama nagoya sapporo fukuoka kobe";

/// Countries.
const COUNTRIES: &str = "germany france spain italy netherlands belgium austria switzerland poland portugal ireland sweden \
 norway denmark finland united-states united-states-of-america usa united-kingdom great-britain canada mexico brazil argentina \
 chile colombia japan china india egypt israel turkey australia new-zealand south-africa singapore deutschland osterreich schweiz \
 niederlande belgien frankreich spanien italien allemagne espagne france italie pays-bas belgique suisse espana alemania francia \
 brasil portugal estados-unidos mexico japon 日本 中国 ドイツ フランス アメリカ スペイン";

/// ISO 3166-1 alpha-2 codes of the countries that CRMs mostly hold.
const ISO: &str = "ad ae ar at au be bg br ca ch cl cn co cy cz de dk ee eg es fi fr gb gr hk hr hu id ie il in is it jp kr li lt \
 lu lv ma mt mx my nl no nz pe ph pl pt ro rs ru sa se sg si sk th tr tw ua us vn za";

/// Legal forms, as whole words without dots.
const LEGAL: &str = "inc llc corp ltd plc gmbh ag kg ohg ug sa sarl sas sasu eurl sl slu bv nv srl spa spzoo ab oy as aps lda \
 ltda pvt pte kk se llp lp";

/// Words of firms rather than people.
const BUSINESS: &str = "group holding holdings company consulting solutions services systems technologies industries partners \
 logistics logistik transport transports bank insurance versicherung energie energy media software werke bau handel verlag \
 boulangerie atelier conseil assurances distribuciones construcciones soluciones servicios foods textiles health university \
 universitat institute stiftung foundation verein hotel restaurant pharma motors";

/// Words of job titles and departments.
const TITLES: &str = "manager director officer head chief president vice vp ceo cfo cto coo engineer developer analyst assistant \
 consultant accountant executive specialist coordinator supervisor administrator buyer sales marketing finance purchasing operations \
 support service procurement legal nurse scientist representative lead team leiter leiterin geschaftsfuhrer vertrieb einkauf \
 buchhaltung sachbearbeiter referent directeur directrice responsable comptable acheteur commercial chef ingenieur director gerente \
 jefe contable comprador ventas ingeniero engineering people it plant product project";

/// Parts of street names and kinds of streets.
const STREETS: &str = "street st avenue ave road rd boulevard blvd lane ln drive dr court ct place pl square terrace way parkway \
 broadway apt suite rue allee bd impasse chemin quai cours route faubourg calle avda avenida plaza paseo camino carretera ronda rua \
 travessa praca largo via viale piazza corso ul al ulica plac platz weg gasse ring damm ufer";

/// Ends of street names that are one word.
const STREET_ENDS: &[&str] = &[
    "strasse", "str", "gasse", "platz", "weg", "allee", "ring", "damm", "ufer", "markt", "straat",
    "laan", "plein", "gracht", "dijk", "gatan", "vagen", "veien", "chaussee",
];

/// Parts of words of diagnoses, disabilities and treatments.
const HEALTH: &[&str] = &[
    "diabet",
    "asthma",
    "asma",
    "pregnan",
    "schwanger",
    "enceinte",
    "embaraz",
    "celiac",
    "zoliak",
    "coeliaque",
    "celiaqu",
    "disease",
    "krankheit",
    "maladie",
    "enfermedad",
    "surgery",
    "operation am",
    "chirurg",
    "cirugia",
    "hearing",
    "horgerat",
    "cancer",
    "krebs",
    "tumor",
    "depress",
    "anxiety",
    "angststorung",
    "anxiete",
    "ansiedad",
    "migra",
    "epilep",
    "hypert",
    "hipert",
    "allerg",
    "alergi",
    "arthrit",
    "artrit",
    "rheuma",
    "hepatit",
    "hiv",
    "covid",
    "infarkt",
    "infarct",
    "infarto",
    "insulin",
    "dialys",
    "dialis",
    "wheelchair",
    "rollstuhl",
    "fauteuil roulant",
    "silla de ruedas",
    "disabil",
    "behinder",
    "handicap",
    "discapac",
    "dementia",
    "demenz",
    "alzheimer",
    "parkinson",
    "multiple sclerosis",
    "multiple sklerose",
    "sclerose",
    "esclerosis",
    "bronchi",
    "bronqui",
    "anemi",
    "anami",
    "adipos",
    "obes",
    "thyroid",
    "schilddruse",
    "thyroid",
    "tiroid",
    "fracture",
    "fraktur",
    "fractura",
    "burnout",
    "burn-out",
    "糖尿病",
    "喘息",
    "妊娠",
    "高血圧",
    "がん",
    "癌",
    "うつ病",
    "アレルギー",
    "てんかん",
    "関節",
    "肝炎",
    "認知症",
    "骨折",
    "心臓",
    "片頭痛",
    "腎",
    "手術",
];

/// The lists, ready to be asked.
#[derive(Debug)]
pub struct Dictionary {
    given: HashSet<&'static str>,
    family: HashSet<&'static str>,
    family_han: Vec<&'static str>,
    given_han: HashSet<&'static str>,
    cities: HashSet<String>,
    countries: HashSet<String>,
    iso: HashSet<&'static str>,
    legal: HashSet<&'static str>,
    business: HashSet<&'static str>,
    titles: HashSet<&'static str>,
    streets: HashSet<&'static str>,
}

impl Default for Dictionary {
    fn default() -> Self {
        let set = |text: &'static str| text.split_whitespace().collect();
        let spaced = |text: &str| {
            text.split_whitespace()
                .map(|w| w.replace('-', " "))
                .collect()
        };
        Self {
            given: set(GIVEN),
            family: set(FAMILY),
            family_han: FAMILY_HAN.split_whitespace().collect(),
            given_han: set(GIVEN_HAN),
            cities: spaced(CITIES),
            countries: spaced(COUNTRIES),
            iso: set(ISO),
            legal: set(LEGAL),
            business: set(BUSINESS),
            titles: set(TITLES),
            streets: set(STREETS),
        }
    }
}

/// What the words of one value say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Said {
    /// It is spelt like the name of a person, and a part of it is a known one.
    pub person: bool,
    /// A city.
    pub city: bool,
    /// A country or its code.
    pub country: bool,
    /// A firm, by its legal form or its trade.
    pub firm: bool,
    /// A job title or department.
    pub title: bool,
    /// A street with a number.
    pub street: bool,
    /// A diagnosis.
    pub health: bool,
    /// How many words.
    pub words: u32,
    /// Written in Han or kana for the most part.
    pub east_asian: bool,
}

/// Lower case without marks (`Müller` → `muller`, `Weiß` → `weiss`); other scripts stay as they are.
pub fn fold(text: &str) -> String {
    let lower = text.to_lowercase();
    if lower.is_ascii() {
        return lower;
    }
    let mut folded = String::with_capacity(lower.len());
    let normalizer = DecomposingNormalizerBorrowed::new_nfd();
    for c in lower.chars() {
        match c {
            'ß' => folded.push_str("ss"),
            'ł' => folded.push('l'),
            'ø' => folded.push('o'),
            'æ' => folded.push_str("ae"),
            'ı' => folded.push('i'),
            '\u{2019}' => folded.push('\''),
            c if c < '\u{250}' || ('\u{1e00}'..'\u{2000}').contains(&c) => folded.extend(
                normalizer
                    .normalize(c.encode_utf8(&mut [0; 4]))
                    .chars()
                    .filter(|c| !('\u{300}'..'\u{370}').contains(c)),
            ),
            c => folded.push(c),
        }
    }
    folded
}

/// Han, hiragana and katakana.
pub fn is_east_asian(c: char) -> bool {
    matches!(c, '\u{3005}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{2ffff}')
}

impl Dictionary {
    /// What the words of `text` say.
    pub fn read(&self, text: &str) -> Said {
        let folded = fold(text);
        let letters = text.chars().filter(|c| c.is_alphabetic()).count();
        let eastern = text.chars().filter(|c| is_east_asian(*c)).count();
        let digit = text.chars().any(|c| c.is_numeric());
        let health = HEALTH.iter().any(|part| folded.contains(part));
        let mut said = Said {
            health,
            east_asian: eastern * 2 > letters && eastern > 0,
            ..Said::default()
        };
        if said.east_asian {
            self.eastern(text, digit, &mut said);
            return said;
        }
        let plain: String = folded
            .chars()
            .filter(|c| *c != '.')
            .map(|c| if c.is_alphanumeric() { c } else { ' ' })
            .collect();
        let words: Vec<&str> = plain.split_whitespace().collect();
        said.words = words.len() as u32;
        let joined = words.join(" ");
        let any = |set: &HashSet<&str>| words.iter().any(|w| set.contains(w));
        said.city = self.cities.contains(&joined);
        said.country = self.countries.contains(&joined)
            || text.len() == 2
                && text.bytes().all(|b| b.is_ascii_uppercase())
                && self.iso.contains(&*folded);
        // A one-letter or two-letter form counts at the end alone: `AG`, not `as far as`.
        let legal = words.len() > 1 && words.last().is_some_and(|w| self.legal.contains(w));
        let formed = words.len() > 1
            && ["gmbh", "sarl", "llc", "ltda"]
                .iter()
                .any(|f| words.contains(f));
        said.firm = words.len() <= 7 && (legal || formed || any(&self.business));
        said.title = words.len() <= 5 && any(&self.titles);
        let ended = words
            .iter()
            .any(|w| w.len() > 4 && STREET_ENDS.iter().any(|end| w.ends_with(end)));
        said.street = digit && words.len() <= 9 && words.len() > 1 && (ended || any(&self.streets));
        let spelt = text
            .chars()
            .all(|c| c.is_alphabetic() || " .-'\u{2019}\u{2bc}".contains(c));
        let short = (1..=5).contains(&words.len());
        let named = words
            .iter()
            .any(|w| self.given.contains(w) || self.family.contains(w));
        said.person = spelt && short && named && !said.firm && !said.title && !said.city;
        said
    }

    fn eastern(&self, text: &str, digit: bool, said: &mut Said) {
        let written: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let length = written.chars().count();
        // There are no spaces to count by; two characters are about a word.
        said.words = (length as u32).div_ceil(3);
        let holds = |parts: &[&str]| parts.iter().any(|p| written.contains(p));
        said.firm = holds(&[
            "株式会社",
            "有限会社",
            "合同会社",
            "有限公司",
            "(株)",
            "商事",
            "製作所",
            "工業",
            "銀行",
            "グループ",
            "科技",
            "贸易",
        ]);
        said.street = holds(&["丁目", "番地", "番", "号", "街道", "路"])
            && (digit || holds(&["丁目", "番地"]));
        said.city = !digit
            && length <= 12
            && ['市', '区', '町', '村', '県', '府', '都']
                .iter()
                .any(|c| written.ends_with(*c));
        said.country = self.countries.contains(&written);
        said.title = holds(&["部", "課", "長", "担当", "営業", "経理", "総務"]);
        if digit
            || length > 8
            || said.firm
            || said.street
            || said.city
            || said.country
            || said.health
        {
            return;
        }
        let known = |part: &str| self.given_han.contains(part) || self.family_han.contains(&part);
        let begun = text.split_whitespace().any(known)
            || self.family_han.iter().any(|f| {
                written
                    .strip_prefix(f)
                    .is_some_and(|rest| rest.chars().count() <= 3)
            });
        let given = self.given_han.contains(&*written)
            || (2..=3).contains(&length)
                && written
                    .chars()
                    .next_back()
                    .is_some_and(|c| GIVEN_ENDS.contains(c));
        said.person = begun
            || given
            || self
                .given_han
                .iter()
                .any(|g| g.chars().count() > 1 && length <= 6 && written.ends_with(g));
        said.title &= !said.person;
    }
}
