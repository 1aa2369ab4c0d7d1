//! What the invented patients suffer from. Every sentence here was written for this project; none is from a real note.
//!
//! Sentences are templates of [`super::template`]. A note draws all its sentences from its patient's few conditions, so neighbouring
//! sentences belong together: that is what next sentence prediction can learn from.

/// A condition and the sentences in which notes speak of it.
pub struct Condition {
    /// As the past medical history lists it.
    pub name: &'static str,
    /// Chief complaint of a patient admitted with it.
    pub complaint: &'static str,
    /// History of present illness.
    pub history: &'static [&'static str],
    /// Physical examination.
    pub examination: &'static [&'static str],
    /// Hospital course.
    pub course: &'static [&'static str],
    /// Laboratory strings.
    pub laboratory: &'static str,
    /// Imaging study and its findings.
    pub imaging: (&'static str, &'static [&'static str]),
    /// Impression of that study.
    pub impression: &'static str,
    /// Medications as the discharge list has them.
    pub medications: &'static [&'static str],
    /// Nursing progress lines.
    pub nursing: &'static [&'static str],
}

/// All of them.
pub const CONDITIONS: &[Condition] = &[
    Condition {
        name: "Congestive heart failure",
        complaint: "Shortness of breath",
        history: &[
            "{He} reports (increasing|worsening) shortness of breath and leg swelling over the past (three|four|five) days.",
            "{He} has been sleeping on (two|three|four) pillows and wakes at night short of breath.",
            "{He} admits to (eating salty food|missing doses of furosemide) last week.",
            "{His} weight is up (six|eight|ten) pounds since the last clinic visit.",
        ],
        examination: &[
            "Lungs: crackles at both bases, no wheezes.",
            "Neck: JVP elevated to {n:9-14} cm.",
            "Extremities: (1+|2+|3+) pitting edema to the (shins|knees).",
        ],
        course: &[
            "The patient was diuresed with IV furosemide with good urine output.",
            "Net fluid balance was negative {d:1.2-3.8} liters on the first day.",
            "An echocardiogram showed an ejection fraction of {n:20-45}%.",
            "{He} was transitioned to oral furosemide and the edema improved.",
            "Daily weights were followed and lisinopril was continued.",
        ],
        laboratory: "proBNP-{n:2100-9800}* Na-{n:130-141} K-{d:3.3-4.9} Creat-{d:0.9-1.9}",
        imaging: (
            "CHEST (PORTABLE AP)",
            &[
                "The heart is enlarged.",
                "There is pulmonary vascular congestion with (small|moderate) bilateral pleural effusions.",
                "No pneumothorax is seen.",
            ],
        ),
        impression: "Moderate pulmonary edema, (slightly worse|improved) compared with the prior study.",
        medications: &[
            "Furosemide {pick:20,40,80} mg Tablet",
            "Lisinopril {pick:5,10,20} mg Tablet",
            "Carvedilol {pick:3.125,6.25,12.5} mg Tablet",
        ],
        nursing: &[
            "Lungs with crackles at bases, given lasix {pick:20,40} mg IV with good effect.",
            "Foley draining clear yellow urine, {n:80-220} cc/hr after lasix.",
        ],
    },
    Condition {
        name: "Community acquired pneumonia",
        complaint: "Fever and cough",
        history: &[
            "{He} developed fever, chills and a productive cough (two|three|four) days ago.",
            "The sputum is (yellow|green|rust colored) and {he} has pleuritic chest pain on the (right|left).",
            "{He} denies hemoptysis, recent travel or sick contacts.",
        ],
        examination: &[
            "Lungs: rhonchi and decreased breath sounds at the (right|left) base.",
            "Chest: dullness to percussion at the (right|left) base.",
        ],
        course: &[
            "The patient was started on ceftriaxone and azithromycin for pneumonia.",
            "Blood cultures were sent and showed no growth to date.",
            "Sputum culture grew (Streptococcus pneumoniae|oral flora only).",
            "{He} was weaned from oxygen and remained afebrile for {n:24-72} hours before discharge.",
        ],
        laboratory: "WBC-{d:12.1-19.8}* Hgb-{d:10.2-14.1} Plt Ct-{n:180-420} Lactate-{d:0.9-2.9}",
        imaging: (
            "CHEST (PA & LAT)",
            &[
                "There is a focal consolidation in the (right lower|left lower|right middle) lobe.",
                "There is a small parapneumonic effusion.",
                "The cardiac silhouette is normal.",
            ],
        ),
        impression: "Lobar pneumonia. Recommend follow-up after treatment to document resolution.",
        medications: &["Levofloxacin 750 mg Tablet", "Azithromycin 250 mg Tablet", "Guaifenesin 600 mg Tablet"],
        nursing: &[
            "Coughing up thick (yellow|tan) sputum, encouraged to use incentive spirometer.",
            "Temp max {d:100.4-102.6}, tylenol given, blood cultures sent.",
        ],
    },
    Condition {
        name: "COPD",
        complaint: "Wheezing",
        history: &[
            "{He} has a history of COPD on home oxygen and presents with increased wheezing.",
            "{He} used {his} albuterol inhaler every two hours without relief.",
            "{He} continues to smoke (half a pack|one pack) of cigarettes per day.",
        ],
        examination: &[
            "Lungs: diffuse expiratory wheezes with prolonged expiration.",
            "General: speaking in short sentences, using accessory muscles.",
        ],
        course: &[
            "The patient was treated for a COPD exacerbation with prednisone and nebulizers.",
            "{He} briefly required BiPAP overnight and was weaned to nasal cannula.",
            "A steroid taper was planned over {n:7-14} days.",
            "Smoking cessation was discussed and a nicotine patch was offered.",
        ],
        laboratory: "pH-7.{n:28-41} pCO2-{n:42-68}* pO2-{n:58-88}* calTCO2-{n:26-34}*",
        imaging: (
            "CHEST (PA & LAT)",
            &["The lungs are hyperinflated with flattening of the diaphragms.", "There is no focal consolidation or effusion."],
        ),
        impression: "Emphysema without acute cardiopulmonary process.",
        medications: &["Albuterol 90 mcg Inhaler", "Tiotropium 18 mcg Capsule", "Prednisone {pick:10,20,40} mg Tablet"],
        nursing: &[
            "Wheezing throughout, albuterol nebs given q4h with improvement.",
            "O2 sat {n:88-94}% on {n:2-4} L nasal cannula.",
        ],
    },
    Condition {
        name: "Coronary artery disease",
        complaint: "Chest pain",
        history: &[
            "{He} developed substernal chest pressure radiating to the left arm while (walking|shoveling snow|climbing stairs).",
            "The pain lasted {n:10-45} minutes and was relieved by nitroglycerin.",
            "{He} had associated diaphoresis and nausea but no syncope.",
        ],
        examination: &[
            "Cardiac: regular rate and rhythm, normal S1 and S2, no murmurs.",
            "Chest: pain not reproducible on palpation.",
        ],
        course: &[
            "Troponins were cycled and peaked at {d:0.2-4.6}.",
            "Cardiac catheterization showed a {n:70-95}% stenosis of the (LAD|RCA|left circumflex).",
            "A drug eluting stent was placed without complication.",
            "{He} was continued on aspirin, clopidogrel and a statin, and was chest pain free.",
        ],
        laboratory: "cTropnT-{d:0.1-2.8}* CK-MB-{n:4-62} CK(CPK)-{n:90-820}* Cholest-{n:150-262}",
        imaging: (
            "ECG",
            &[
                "Sinus rhythm at {n:58-98} beats per minute.",
                "ST segment depressions in leads (V4-V6|II, III and aVF).",
                "Compared to the previous tracing the ST changes are new.",
            ],
        ),
        impression: "Findings consistent with myocardial ischemia.",
        medications: &[
            "Aspirin 81 mg Tablet",
            "Clopidogrel 75 mg Tablet",
            "Atorvastatin {pick:40,80} mg Tablet",
            "Metoprolol Tartrate {pick:12.5,25,50} mg Tablet",
        ],
        nursing: &[
            "Denies chest pain, heparin drip at {n:700-1400} units/hr.",
            "Right groin site clean and dry after cath, pulses palpable.",
        ],
    },
    Condition {
        name: "Atrial fibrillation",
        complaint: "Palpitations",
        history: &[
            "{He} noticed palpitations and lightheadedness since (this morning|last night).",
            "{He} has paroxysmal atrial fibrillation and takes warfarin.",
            "{He} denies syncope, chest pain or stroke symptoms.",
        ],
        examination: &["Cardiac: irregularly irregular rhythm, rate {n:98-148}, no murmurs.", "Neurologic: no focal weakness."],
        course: &[
            "The heart rate was controlled with IV diltiazem and then oral metoprolol.",
            "{He} converted spontaneously to sinus rhythm.",
            "Anticoagulation with warfarin was continued for a goal INR of 2 to 3.",
            "TSH was normal and an echocardiogram showed a dilated left atrium.",
        ],
        laboratory: "INR(PT)-{d:1.2-3.4} PT-{d:12.4-31.2} TSH-{d:0.8-4.1} Mg-{d:1.6-2.3}",
        imaging: (
            "ECG",
            &[
                "Atrial fibrillation with a ventricular rate of {n:96-150}.",
                "Nonspecific ST-T wave changes.",
                "No previous tracing available for comparison.",
            ],
        ),
        impression: "Atrial fibrillation with rapid ventricular response.",
        medications: &[
            "Warfarin {pick:2,2.5,5} mg Tablet",
            "Metoprolol Succinate {pick:25,50,100} mg Tablet",
            "Diltiazem HCl 120 mg Capsule",
        ],
        nursing: &["HR {n:90-140} afib, no ectopy, given lopressor 5 mg IV.", "INR pending, coumadin held this evening."],
    },
    Condition {
        name: "Type 2 diabetes mellitus",
        complaint: "High blood sugar",
        history: &[
            "{He} reports polyuria, polydipsia and blurry vision for (one week|two weeks).",
            "{He} ran out of insulin (three|five) days ago.",
            "Finger sticks at home have been above {n:280-420}.",
        ],
        examination: &[
            "Skin: dry mucous membranes, no foot ulcers.",
            "Neurologic: decreased sensation to light touch in both feet.",
        ],
        course: &[
            "The patient was treated with IV fluids and an insulin drip.",
            "The anion gap closed and {he} was transitioned to glargine insulin.",
            "The diabetes service adjusted {his} sliding scale.",
            "Diabetic teaching was completed before discharge.",
        ],
        laboratory: "Glucose-{n:180-520}* HbA1c-{d:7.4-12.8}* HCO3-{n:12-26} AnGap-{n:10-24}",
        imaging: (
            "FOOT AP,LAT & OBL",
            &[
                "There is no fracture or dislocation.",
                "Vascular calcifications are noted.",
                "There is no radiographic evidence of osteomyelitis.",
            ],
        ),
        impression: "No evidence of osteomyelitis.",
        medications: &["Insulin Glargine {n:10-40} units SC", "Metformin {pick:500,850,1000} mg Tablet", "Glipizide 5 mg Tablet"],
        nursing: &["FS {n:140-340}, covered with sliding scale insulin.", "Insulin drip at {n:2-8} units/hr, finger sticks q1h."],
    },
    Condition {
        name: "Chronic kidney disease",
        complaint: "Abnormal labs",
        history: &[
            "{His} creatinine was found to be elevated on routine labs.",
            "{He} has noticed decreased urine output and fatigue.",
            "{He} has been taking ibuprofen for (back|knee) pain.",
        ],
        examination: &[
            "Abdomen: soft, nontender, no flank tenderness.",
            "Extremities: trace edema, left arm fistula with good thrill.",
        ],
        course: &[
            "Renal was consulted for acute on chronic kidney injury.",
            "Nephrotoxic medications were stopped and creatinine improved to {d:1.4-2.6}.",
            "Hemodialysis was (not required|started through a tunneled line).",
            "Lisinopril was held at discharge.",
        ],
        laboratory: "UreaN-{n:28-88}* Creat-{d:1.8-6.2}* K-{d:4.1-5.9} Phos-{d:3.2-6.8}",
        imaging: (
            "RENAL U.S.",
            &[
                "The right kidney measures {d:8.4-10.8} cm and the left kidney {d:8.4-10.8} cm.",
                "The kidneys are echogenic with cortical thinning.",
                "There is no hydronephrosis.",
            ],
        ),
        impression: "Echogenic kidneys consistent with medical renal disease. No hydronephrosis.",
        medications: &["Sevelamer 800 mg Tablet", "Calcitriol 0.25 mcg Capsule", "Nephrocaps 1 Capsule"],
        nursing: &["Urine output {n:10-35} cc/hr, team aware.", "Dialysis today, {d:1.5-3.5} liters removed, tolerated well."],
    },
    Condition {
        name: "Gastrointestinal bleed",
        complaint: "Black stools",
        history: &[
            "{He} passed (black tarry|maroon) stools for the past (two|three) days.",
            "{He} vomited coffee ground material once.",
            "{He} takes (aspirin|naproxen) daily and drinks alcohol (socially|daily).",
        ],
        examination: &["Abdomen: mild epigastric tenderness, no rebound or guarding.", "Rectal: guaiac positive stool."],
        course: &[
            "The patient received {n:2-5} units of packed red blood cells.",
            "Endoscopy showed a (gastric|duodenal) ulcer with a visible vessel that was clipped.",
            "A pantoprazole drip was started and changed to twice daily dosing.",
            "The hematocrit remained stable at {n:26-33}.",
        ],
        laboratory: "Hct-{d:20.1-29.8}* Hgb-{d:6.6-9.8}* Plt Ct-{n:140-360} INR(PT)-{d:1.0-2.6}",
        imaging: (
            "CT ABDOMEN W/CONTRAST",
            &[
                "The liver, spleen and pancreas are unremarkable.",
                "There is no active extravasation of contrast.",
                "There is no free air or fluid.",
            ],
        ),
        impression: "No source of bleeding identified.",
        medications: &["Pantoprazole 40 mg Tablet", "Sucralfate 1 gram Tablet", "Ferrous Sulfate 325 mg Tablet"],
        nursing: &[
            "Large melena stool x{n:1-3}, hct {n:22-30}, transfused one unit.",
            "NG lavage clear, protonix drip continues.",
        ],
    },
    Condition {
        name: "Urosepsis",
        complaint: "Confusion",
        history: &[
            "{He} was found confused and febrile by {his} (wife|daughter|nursing home).",
            "{He} had dysuria and urinary frequency for (two|four) days.",
            "In the emergency department {he} was hypotensive to {n:72-88}/{n:38-52}.",
        ],
        examination: &["Abdomen: suprapubic tenderness.", "Neurologic: oriented to person only, following simple commands."],
        course: &[
            "{He} received {n:3-6} liters of normal saline and was started on vancomycin and cefepime.",
            "Norepinephrine was required for {n:12-48} hours.",
            "Urine culture grew (Escherichia coli|Klebsiella pneumoniae) and antibiotics were narrowed to ceftriaxone.",
            "Mental status returned to baseline.",
        ],
        laboratory: "WBC-{d:14.2-26.8}* Lactate-{d:2.2-6.4}* UreaN-{n:24-58}* RBC-{n:10-60}*",
        imaging: (
            "CT HEAD W/O CONTRAST",
            &[
                "There is no acute intracranial hemorrhage or mass effect.",
                "The ventricles and sulci are prominent, consistent with atrophy.",
                "The paranasal sinuses are clear.",
            ],
        ),
        impression: "No acute intracranial process.",
        medications: &["Ciprofloxacin 500 mg Tablet", "Cefpodoxime 200 mg Tablet"],
        nursing: &["Levophed at {d:0.1-0.3} mcg/kg/min, MAP {n:60-72}.", "More alert this afternoon, following commands."],
    },
    Condition {
        name: "Stroke",
        complaint: "Weakness",
        history: &[
            "{He} awoke with (right|left) sided weakness and slurred speech.",
            "{He} was last seen normal at {n:8-11} pm.",
            "The NIH stroke scale on arrival was {n:4-18}.",
        ],
        examination: &[
            "Neurologic: (right|left) facial droop, (right|left) arm {n:2-4}/5 strength, sensation intact.",
            "Speech: dysarthric but fluent.",
        ],
        course: &[
            "The patient was outside the window for tPA and was started on aspirin.",
            "MRI showed an acute infarct in the (left|right) middle cerebral artery territory.",
            "{He} passed a swallow evaluation and the diet was advanced.",
            "Physical therapy recommended acute rehabilitation.",
        ],
        laboratory: "Cholest-{n:160-270} LDLcalc-{n:88-180}* HbA1c-{d:5.6-8.9} Glucose-{n:96-188}",
        imaging: (
            "MR HEAD W/O CONTRAST",
            &[
                "There is restricted diffusion in the (left|right) MCA territory.",
                "There is no hemorrhagic transformation.",
                "Major flow voids are preserved.",
            ],
        ),
        impression: "Acute infarct in the middle cerebral artery territory without hemorrhage.",
        medications: &["Aspirin 325 mg Tablet", "Simvastatin 40 mg Tablet"],
        nursing: &[
            "Neuro checks q2h, pupils equal and reactive, arm drift unchanged.",
            "Speech slurred, swallow study done, tolerating thickened liquids.",
        ],
    },
    Condition {
        name: "Hip fracture",
        complaint: "Hip pain after a fall",
        history: &[
            "{He} tripped over a rug at home and fell on {his} (right|left) side.",
            "{He} was unable to bear weight and had severe hip pain.",
            "There was no head strike or loss of consciousness.",
        ],
        examination: &["Extremities: (right|left) leg shortened and externally rotated.", "Vascular: distal pulses intact."],
        course: &[
            "Orthopedic surgery performed an open reduction and internal fixation.",
            "Pain was controlled with oxycodone and acetaminophen.",
            "Enoxaparin was given for deep vein thrombosis prophylaxis.",
            "{He} worked with physical therapy and was weight bearing as tolerated.",
        ],
        laboratory: "Hct-{d:26.4-34.9}* WBC-{d:7.8-13.2} Calcium-{d:8.1-9.4} 25VitD-{n:11-38}*",
        imaging: (
            "HIP UNILAT MIN 2 VIEWS",
            &[
                "There is a displaced fracture of the (right|left) femoral neck.",
                "The bones are diffusely demineralized.",
                "No dislocation is seen.",
            ],
        ),
        impression: "Displaced femoral neck fracture.",
        medications: &[
            "Oxycodone 5 mg Tablet",
            "Enoxaparin 40 mg/0.4 mL Syringe",
            "Calcium Carbonate 500 mg Tablet",
            "Docusate Sodium 100 mg Capsule",
        ],
        nursing: &[
            "Hip dressing dry and intact, medicated with oxycodone for pain {n:4-8}/10.",
            "Out of bed to chair with two assists.",
        ],
    },
    Condition {
        name: "Alcohol withdrawal",
        complaint: "Tremor",
        history: &[
            "{He} drinks (a pint of vodka|twelve beers) daily, last drink {n:12-40} hours ago.",
            "{He} presents with tremor, sweating and anxiety.",
            "{He} has had withdrawal seizures in the past.",
        ],
        examination: &["General: anxious, diaphoretic, tremulous.", "Neurologic: tongue fasciculations, no asterixis."],
        course: &[
            "The patient was placed on a CIWA scale and received diazepam.",
            "Thiamine, folate and a multivitamin were given.",
            "{He} had no seizures and the tremor resolved.",
            "Social work met with {him} and offered a detoxification program.",
        ],
        laboratory: "ALT-{n:42-180}* AST-{n:80-320}* TotBili-{d:0.8-3.6}* Mg-{d:1.1-1.9}*",
        imaging: (
            "LIVER OR GALLBLADDER US",
            &[
                "The liver is diffusely echogenic, consistent with fatty infiltration.",
                "The gallbladder is normal without stones.",
                "There is no ascites.",
            ],
        ),
        impression: "Fatty liver. More advanced liver disease cannot be excluded.",
        medications: &["Thiamine HCl 100 mg Tablet", "Folic Acid 1 mg Tablet", "Multivitamin 1 Tablet"],
        nursing: &[
            "CIWA {n:8-22}, valium {pick:5,10} mg given with good effect.",
            "Tremulous and anxious, one to one sitter at bedside.",
        ],
    },
];
