// Every text of the page, in both languages. What the runtime says itself (reasons, errors) is English, as its logs are.
const WORDS = {
  en: {
    skip: "To the content", live: "Live", rejects: "Rejects", threshold: "Threshold", other: "Deutsch", dark: "Dark", light: "Light",
    logIn: "Log in", logOut: "Log out", name: "Name", password: "Password", cancel: "Cancel", mayView: "view", mayOperate: "operate", mayEngineer: "engineer",
    OK: "OK", NG: "NG", NO_DECISION: "NO DECISION", waiting: "waiting for the first part", noPicture: "No picture yet", noStream: "The stream sends nothing. Parts may not be inspected.",
    lost: "The page has no connection; it tries again.", mustLogIn: "Log in to see this station.", running: "Running", paused: "Paused by {0}", pausedWhy: "Every part is rejected until somebody resumes.",
    runningWhy: "Parts are inspected.", pause: "Pause", resume: "Resume", heat: "Heat map", part: "part", frame: "frame", score: "Score", limit: "limit", scores: "Scores of the last parts",
    scoresAlt: "The last {0} scores, {1} of them above the threshold of {2}", latency: "Latency (median)", rate: "Parts a second", engine: "Engine", camera: "Camera", drops: "Dropped", framesLost: "Lost",
    reconnects: "Reconnects", controller: "Controller", temperature: "Temperature", counts: "Verdicts since the start", waitsFor: "Waiting for the camera: {0}", heartbeat: "heartbeat {0}", drift: "Drift",
    "kind late": "too late", "kind missed": "no picture of a trigger", "kind incomplete": "incomplete picture", "kind overrun": "too many parts at once", "kind engine error": "engine error",
    "kind frozen": "frozen picture", "kind black": "black picture", "kind over-exposed": "over-exposed", "kind wrong size": "wrong size", "kind blurred": "blurred",
    "kind no part in view": "no part in view", "kind part not found": "part not found", "kind part not in its place": "part not in its place",
    "kind part not all in the picture": "part not all in the picture", "kind damaged picture": "damaged picture", "kind camera lost": "camera lost", "kind no picture": "no picture",
    "kind no result": "no result in time", "kind the line is held": "the line is held", "kind trigger refused": "trigger refused", "kind paused by": "paused", "kind other": "other reasons",
    lastRejects: "The last rejects", none: "None yet.", falseReject: "False reject", realDefect: "Real defect", missed: "Missed defect",
    markedBy: "marked by {0}", noRecords: "Nothing is recorded here, so parts cannot be marked. Start with --records DIR.", find: "Find", partId: "A part by its id", partHelp: "to mark a part that passed as a missed defect", notFound: "No part of this id is recorded.",
    noPictureKept: "No picture is kept of this part.", showHeat: "Show heat maps", refresh: "Refresh", thresholdTitle: "What the threshold does", current: "in force", tried: "tried", histogram: "Scores of the last {0} parts, over those of the calibration's good parts",
    goodParts: "good parts of the calibration: lowest to highest, with the middle half", recent: "recent parts", markedFalse: "marked as false reject", markedDefect: "marked as real defect", markedMissed: "marked as missed", tryIt: "Try a threshold",
    wouldReject: "rejected of the last {0} parts; {1} with the threshold in force", provenRate: "of good parts rejected at most: proven by {0} good parts, of which up to {1} lie above", provenMean: "on average over such sets of images", provenConfidence: "with {0} % confidence, for a threshold chosen without looking at them",
    notProven: "Nothing is proven", defectsFound: "of the parts marked as defects lie above", falseLeft: "{0} of {1} marked false rejects would still be rejected", noMarks: "No part is marked as a defect yet.", apply: "Put it in force", reason: "Reason",
    applied: "Sealed as {0} {1}, and in force from the next start of the stream.", needEngineer: "That takes the role engineer.", rollBack: "Roll back", rolledBack: "{0} {1} is in force from the next start of the stream.", inForce: "In force: {0} {1}, by {2}: {3}", runs: "What runs: {0} {1}",
    noRecipes: "No folder of sealed recipes was given, so nothing can be put in force here. Start with recipes=FOLDER in --serve.", history: "What was done", when: "When", what: "What", who: "Who", why: "Why", restart: "Another recipe is in force than the one that runs: start the stream again.",
    language: "Sprache: Deutsch", theme: "Colours",
    parts: "Good parts", partsTitle: "A detector from good parts", partsWhy: "Pictures are kept as the camera gives them, people say which parts are good, and a detector made of them is tried before it is put in force.",
    noParts: "No folder for pictures was given. Start with parts=FOLDER in --serve.", collectTitle: "1. Collect", lookTitle: "2. Look at every part", makeTitle: "3. Make a detector", tryTitle: "4. Try it beside the one in force", sealTitle: "5. Put it in force",
    comes: "{0} of {1} pictures have come", stop: "Stop", needOperate: "That takes the role operate.", collectHelp: "Every picture of the next parts is kept, also of those that are rejected now. {0} or more are needed; more prove a lower rate of false rejects.", howMany: "How many pictures",
    newSet: "Collect a new set", moreOf: "Collect more for set {0}", noSet: "No pictures were collected yet.", confirmAll: "I looked at all {0}: every part is good", setOf: "Set {0}: {1} good, {2} taken out", lookHelp: "One defective part among the good ones hides such defects later. Take out what is not good, and what is no part.",
    isClosed: "A detector was made of this set; its pictures stay as they are.", confirmedBy: "Confirmed by {0}: {1} good parts", notGood: "Not good", suspect: "Look at this:", atWork: "{0}, {1} so far", log: "What the command prints", reportAlt: "Histograms of the scores before and after, each with its threshold",
    confirmFirst: "First the pictures have to be confirmed.", recalibrate: "Recalibrate", train: "Train anew", notInspected: "Nothing looked for suspects among them:", fitThreshold: "Fit the threshold", thresholdHelp: "of the detector in force, by these parts: all of them prove it, and few are enough", recalibrateHelp: "statistics by position, too, for other light or another lens; from 40 parts on", trainHelp: "a new detector of these parts: minutes; the inspection goes on", trainKeeps: "A training takes over from the detector in force: {0}.", trainLoses: "It does not take over: {0}.", notInstalled: "not installed here: {0}", makeFirst: "First a detector has to be made.",
    kind_good: "good parts of the set", kind_refused: "parts taken out", kind_trial: "parts since then", pictures: "Pictures", oldRejects: "Rejected by the one in force", newRejects: "Rejected by the new one", judgedOtherwise: "Judged otherwise", old: "in force", new: "new",
    nextParts: "Parts that come next", tryParts: "Try on the next parts", tryHelp: "Both judge the same pictures. What was taken out should be rejected, and good parts should pass.", sealedAs: "Sealed as {0} {1} by {2}", recipeName: "Recipe", appliedNow: "Sealed as {0} {1}, and being put in force now; parts are rejected meanwhile.",
    rolledBackNow: "{0} {1} is being put in force now; parts are rejected meanwhile.", seconds: "{0} s", minutes: "{0} min",
    heatOf: "Heat map of", ofScore: "the score", atHighest: "At the highest place: {0}", byEvidence: "By evidence: {0}",
    differs: "Another recipe is in force than the one that runs: it is being opened, or could not be, which the log tells.",
  },
  de: {
    skip: "Zum Inhalt", live: "Live", rejects: "Ausschuss", threshold: "Schwelle", other: "English", dark: "Dunkel", light: "Hell",
    logIn: "Anmelden", logOut: "Abmelden", name: "Name", password: "Passwort", cancel: "Abbrechen", mayView: "ansehen", mayOperate: "bedienen", mayEngineer: "einstellen",
    OK: "OK", NG: "NG", NO_DECISION: "KEIN URTEIL", waiting: "wartet auf das erste Teil", noPicture: "Noch kein Bild", noStream: "Der Strom sendet nichts. Vielleicht wird kein Teil geprüft.",
    lost: "Die Seite hat keine Verbindung; sie versucht es wieder.", mustLogIn: "Melden Sie sich an, um diese Station zu sehen.", running: "Läuft", paused: "Angehalten von {0}", pausedWhy: "Jedes Teil wird ausgeschleust, bis jemand fortsetzt.",
    runningWhy: "Teile werden geprüft.", pause: "Anhalten", resume: "Fortsetzen", heat: "Wärmebild", part: "Teil", frame: "Bild", score: "Wert", limit: "Grenze", scores: "Werte der letzten Teile",
    scoresAlt: "Die letzten {0} Werte, {1} davon über der Schwelle von {2}", latency: "Dauer (Median)", rate: "Teile pro Sekunde", engine: "Rechenwerk", camera: "Kamera", drops: "Verworfen", framesLost: "Verloren",
    reconnects: "Neu verbunden", controller: "Steuerung", temperature: "Temperatur", counts: "Urteile seit dem Start", waitsFor: "Wartet auf die Kamera: {0}", heartbeat: "Lebenszeichen {0}", drift: "Drift",
    "kind late": "zu spät", "kind missed": "kein Bild zum Auslöser", "kind incomplete": "unvollständiges Bild", "kind overrun": "zu viele Teile zugleich",
    "kind engine error": "Fehler des Rechenwerks", "kind frozen": "eingefrorenes Bild", "kind black": "schwarzes Bild", "kind over-exposed": "überbelichtet",
    "kind wrong size": "falsche Größe", "kind blurred": "unscharf", "kind no part in view": "kein Teil im Bild", "kind part not found": "Teil nicht gefunden",
    "kind part not in its place": "Teil nicht an seinem Platz", "kind part not all in the picture": "Teil nicht ganz im Bild", "kind damaged picture": "beschädigtes Bild",
    "kind camera lost": "Kamera verloren", "kind no picture": "kein Bild", "kind no result": "kein Ergebnis zur Zeit", "kind the line is held": "Anlage gesperrt",
    "kind trigger refused": "Auslöser abgewiesen", "kind paused by": "angehalten", "kind other": "andere Gründe",
    lastRejects: "Der letzte Ausschuss", none: "Noch keiner.", falseReject: "Gutes Teil", realDefect: "Echter Fehler", missed: "Fehler übersehen",
    markedBy: "markiert von {0}", noRecords: "Hier wird nichts aufgezeichnet; Teile können nicht markiert werden. Mit --records ORDNER starten.", find: "Suchen", partId: "Ein Teil nach seiner Nummer", partHelp: "um ein Teil, das durchging, als übersehen zu markieren", notFound: "Kein Teil mit dieser Nummer ist aufgezeichnet.",
    noPictureKept: "Von diesem Teil gibt es kein Bild.", showHeat: "Wärmebilder zeigen", refresh: "Erneuern", thresholdTitle: "Was die Schwelle bewirkt", current: "in Kraft", tried: "versucht", histogram: "Werte der letzten {0} Teile, über denen der guten Teile der Kalibrierung",
    goodParts: "gute Teile der Kalibrierung: vom kleinsten zum größten, mit der mittleren Hälfte", recent: "letzte Teile", markedFalse: "als gutes Teil markiert", markedDefect: "als echter Fehler markiert", markedMissed: "als übersehen markiert", tryIt: "Eine Schwelle versuchen",
    wouldReject: "der letzten {0} Teile ausgeschleust; {1} mit der geltenden Schwelle", provenRate: "der guten Teile höchstens ausgeschleust: bewiesen durch {0} gute Teile, von denen bis zu {1} darüber liegen", provenMean: "im Mittel über solche Mengen von Bildern", provenConfidence: "mit {0} % Vertrauen, für eine Schwelle, die ohne Blick auf sie gewählt wurde",
    notProven: "Nichts ist bewiesen", defectsFound: "der als Fehler markierten Teile liegen darüber", falseLeft: "{0} von {1} als gut markierten Teilen würden weiter ausgeschleust", noMarks: "Noch kein Teil ist als Fehler markiert.", apply: "In Kraft setzen", reason: "Grund",
    applied: "Versiegelt als {0} {1}, in Kraft ab dem nächsten Start.", needEngineer: "Dazu braucht es das Recht „einstellen“.", rollBack: "Zurücknehmen", rolledBack: "{0} {1} ist in Kraft ab dem nächsten Start.", inForce: "In Kraft: {0} {1}, von {2}: {3}", runs: "Es läuft: {0} {1}",
    noRecipes: "Kein Ordner versiegelter Rezepte wurde angegeben; hier kann nichts in Kraft gesetzt werden. Mit recipes=ORDNER in --serve starten.", history: "Was getan wurde", when: "Wann", what: "Was", who: "Wer", why: "Warum", restart: "Ein anderes Rezept ist in Kraft, als läuft: den Strom neu starten.",
    language: "Language: English", theme: "Farben",
    parts: "Gute Teile", partsTitle: "Ein Detektor aus guten Teilen", partsWhy: "Bilder werden bewahrt, wie die Kamera sie gibt, Menschen sagen, welche Teile gut sind, und ein Detektor daraus wird erprobt, bevor er in Kraft tritt.",
    noParts: "Kein Ordner für Bilder wurde angegeben. Mit parts=ORDNER in --serve starten.", collectTitle: "1. Sammeln", lookTitle: "2. Jedes Teil ansehen", makeTitle: "3. Einen Detektor machen", tryTitle: "4. Neben dem geltenden erproben", sealTitle: "5. In Kraft setzen",
    comes: "{0} von {1} Bildern sind da", stop: "Aufhören", needOperate: "Dazu braucht es das Recht „bedienen“.", collectHelp: "Jedes Bild der nächsten Teile wird bewahrt, auch von denen, die jetzt ausgeschleust werden. {0} oder mehr sind nötig; mehr beweisen weniger falschen Ausschuss.", howMany: "Wie viele Bilder",
    newSet: "Neu sammeln", moreOf: "Mehr für Satz {0} sammeln", noSet: "Noch wurden keine Bilder gesammelt.", confirmAll: "Ich habe alle {0} angesehen: jedes Teil ist gut", setOf: "Satz {0}: {1} gut, {2} herausgenommen", lookHelp: "Ein fehlerhaftes Teil unter den guten verdeckt später solche Fehler. Nehmen Sie heraus, was nicht gut ist und was kein Teil ist.",
    isClosed: "Aus diesem Satz wurde ein Detektor gemacht; seine Bilder bleiben, wie sie sind.", confirmedBy: "Bestätigt von {0}: {1} gute Teile", notGood: "Nicht gut", suspect: "Bitte ansehen:", atWork: "{0}, seit {1}", log: "Was der Befehl schreibt", reportAlt: "Verteilungen der Werte vorher und nachher, jede mit ihrer Schwelle",
    confirmFirst: "Zuerst müssen die Bilder bestätigt werden.", recalibrate: "Neu kalibrieren", train: "Neu trainieren", notInspected: "Nichts suchte unter ihnen nach Verdächtigen:", fitThreshold: "Schwelle anpassen", thresholdHelp: "des geltenden Detektors, nach diesen Teilen: alle beweisen sie, und wenige genügen", recalibrateHelp: "auch die Statistik nach Orten, für anderes Licht oder ein anderes Objektiv; ab 40 Teilen", trainHelp: "ein neuer Detektor aus diesen Teilen: Minuten; die Prüfung läuft weiter", trainKeeps: "Ein Training übernimmt vom geltenden Detektor: {0}.", trainLoses: "Es übernimmt nicht: {0}.", notInstalled: "hier nicht installiert: {0}", makeFirst: "Zuerst muss ein Detektor gemacht werden.",
    kind_good: "gute Teile des Satzes", kind_refused: "herausgenommene Teile", kind_trial: "Teile seither", pictures: "Bilder", oldRejects: "Vom geltenden ausgeschleust", newRejects: "Vom neuen ausgeschleust", judgedOtherwise: "Anders beurteilt", old: "in Kraft", new: "neu",
    nextParts: "Teile, die als nächste kommen", tryParts: "An den nächsten Teilen erproben", tryHelp: "Beide beurteilen dieselben Bilder. Was herausgenommen wurde, sollte ausgeschleust werden, und gute Teile sollten durchgehen.", sealedAs: "Versiegelt als {0} {1} von {2}", recipeName: "Rezept", appliedNow: "Versiegelt als {0} {1}, tritt jetzt in Kraft; solange wird jedes Teil ausgeschleust.",
    rolledBackNow: "{0} {1} tritt jetzt in Kraft; solange wird jedes Teil ausgeschleust.", seconds: "{0} s", minutes: "{0} min",
    heatOf: "Wärmebild von", ofScore: "dem Wert", atHighest: "An der höchsten Stelle: {0}", byEvidence: "Nach Merkmalen: {0}",
    differs: "Ein anderes Rezept ist in Kraft, als läuft: es wird geöffnet, oder konnte es nicht werden, was das Protokoll sagt.",
  },
};

const KEPT = "proctor-language";
let language = localStorage.getItem(KEPT) ?? (navigator.language.startsWith("de") ? "de" : "en");

export const currentLanguage = () => language;

export function switchLanguage() {
  language = language === "en" ? "de" : "en";
  localStorage.setItem(KEPT, language);
}

/** A text by its name, with values in the places {0}, {1} …; a name that is no text of ours is shown as it is. */
export function word(name, ...values) {
  const text = WORDS[language][name] ?? name;
  return text.replace(/\{(\d)\}/g, (_, index) => values[Number(index)]);
}

export const number = (value, digits = 0) =>
  value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });

export const share = (value) =>
  value.toLocaleString(language, { style: "percent", maximumSignificantDigits: 3 });

/** Which evidence a score comes from: scores of the map and of the whole frame, and terms of the map at its highest. */
export function evidence(scores, terms) {
  const listed = (values) => values.map(([name, value]) => `${name}: ${number(value, 2)}`).join("; ");
  const found = [["byEvidence", Object.entries(scores)], ["atHighest", terms]].filter(([, values]) => values.length);
  return found.map(([key, values]) => word(key, listed(values))).join(". ");
}

/** How long something took. */
export const duration = (seconds) => seconds < 90 ? word("seconds", number(seconds)) : word("minutes", number(seconds / 60));

/** A time; of today without the day. */
export function moment(at) {
  const found = new Date(typeof at === "number" ? at * 1000 : at);
  if (found.toDateString() === new Date().toDateString()) return found.toLocaleTimeString(language, { timeStyle: "medium" });
  return found.toLocaleString(language, { dateStyle: "short", timeStyle: "medium" });
}

export const DICTIONARIES = WORDS;
