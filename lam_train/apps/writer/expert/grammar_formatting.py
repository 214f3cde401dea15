"""What a request says about the looks of text: its properties, one entry each."""

from lam_train.apps.writer.expert.grammar_frames import Property, frames
from lam_train.apps.writer.expert.grammar_pattern import Pattern, pattern
from lam_train.apps.writer.expert.grammar_words import DELETE, GIVE, MUST

AN = r"(?:an? )?"
INDENT = r"indent(?:ation|ed)?"
MARKS = r"(?:bullet(?: point)?s?|number|numbering|list formatting)"
LIST_WORDS = r"(?: (?:list|points?|items?|paragraphs?)){0,2}"


def switch(operation: str, is_: str, verb: str, noun: str) -> tuple[Property, Property]:
    """A property that text has or has not, and taking it away."""
    nouns = rf"{noun}(?: formatting| type| style| font| face| effect)?"
    on = Property(operation, rf"{is_}(?: type| letters| font| text| style)?", nouns, (rf"{verb} <target>",))
    off = Property(
        f"no_{operation}",
        do=(
            rf"(?:{DELETE}|undo) (?:the )?{nouns} (?:from|of|on|in|for) <target>",
            rf"(?:turn|switch) off (?:the )?{nouns} (?:from|of|on|in|for) <target>",
            rf"<target> (?:should|must) (?:not|no longer) be (?:in )?{is_}",
            rf"(?:make|set) <target> (?:not|no longer) {is_}",
        ),
    )
    return on, off


def alignment(where: str, is_: str, words: str, verb: str) -> Property:
    """One of the four alignments. `words` is what follows "align it to the"."""
    return Property(
        "align",
        is_=rf"(?:{is_}|aligned (?:(?:to|on|at) )?(?:the )?{words})(?: on the page)?",
        has=rf"{words}(?:ed)?[ -]alignment",
        do=(
            rf"{verb} <target>(?: on the page| horizontally)?",
            rf"align <target> (?:(?:to|on|in|at) )?(?:the )?{words}(?: (?:side|margin|edge|of the page))*",
            rf"{words}[ -]align <target>",
        ),
        name=r"(?:paragraph |text |horizontal )?alignment",
        value=rf"(?:the )?(?:{words}|{is_})",
        fixed=(("where", where),),
    )


CHARACTER = (
    *switch("bold", "bold(?:face|faced)?", "(?:bold|embolden|boldface)", "bold(?:face)?"),
    *switch("italic", "(?:italics?|italici[sz]ed|slanted)", "itali(?:ci[sz]e|cs?)", "italics?"),
    *switch("underline", "underlined?", "(?:underline|underscore)", "(?:an? )?(?:single )?underlin(?:e|ing)"),
    *switch(
        "strikethrough",
        "(?:struck[ -]?(?:through|out)|strike ?-?through|crossed[ -]out)",
        "(?:strike ?-?(?:through|out)|cross out|strike)",
        "(?:an? )?strike ?-?through",
    ),
    Property("underline", do=("(?:draw|put) a line (?:under|beneath|below|underneath) <target>",)),
    Property("strikethrough", do=("(?:strike|cross) <target> (?:through|out)", "(?:draw|put) a line through <target>")),
    *switch("superscript", "(?:an? )?superscript(?:ed)?", "superscript", "superscript"),
    *switch("subscript", "(?:an? )?subscript(?:ed)?", "subscript", "subscript"),
    *switch("small_capitals", "small[ -]cap(?:ital)?s", "small[ -]cap", "small[ -]cap(?:ital)?s"),
    Property(
        "font_size",
        is_=r"(?:font |type )?<size>(?: (?:type|font|text|font size|large|big|high|tall|in size))?",
        has=rf"{AN}(?:font |text |type )?size (?:of )?<size>|{AN}<size> (?:font|type)(?: size)?",
        do=("(?:enlarge|shrink|resize|increase|scale|grow|reduce) <target> to <size>",),
        name=r"(?:font[ -]?|text |type |point |letter )?size",
        value=r"<size>",
    ),
    Property(
        "font_name",
        is_=r"(?:font )?<font>(?: font| typeface)?",
        has=r"(?:the )?(?:font |typeface )?<font>(?: font| typeface)?",
        name=r"(?:font|typeface|font (?:name|family|face))",
        value=r"<font>",
    ),
    Property(
        "font_color",
        is_=r"<colour>(?: text| letters| colou?r| font| type)?",
        has=rf"{AN}<colour> (?:font |text )?colou?r|{AN}(?:font |text )?colou?r (?:of )?<colour>",
        do=("(?:colou?r|paint|tint) <target>(?: in)? <colour>",),
        name=r"(?:font |text |letter |type )?colou?r",
        value=r"<colour>",
    ),
    Property(
        "highlight",
        is_=r"(?:highlighted|marked)(?: in| with)? <colour>(?: highlight(?:er|ing)?)?",
        has=rf"{AN}<colour> (?:highlight(?:er|ing)?|text background|background|marker)(?: colou?r)?",
        do=(
            rf"(?:highlight|mark) <target>(?: (?:in|with|using))? {AN}<colour>(?: highlight(?:er|ing)?| marker)?",
            rf"(?:put|place) {AN}<colour> (?:highlight(?:er|ing)?|background|marker) (?:over|behind) <target>",
        ),
        name=r"(?:highlight(?:ing)?(?: colou?r)?|(?:text |character )?background(?: colou?r)?)",
        value=r"<colour>",
    ),
    *(
        Property(
            "change_case",
            is_=rf"(?:all )?{words}(?: letters| characters| text)?",
            has=words,
            do=(
                rf"{verb} <target>",
                rf"(?:change|convert|set|switch|put) (?:the )?(?:letter )?case of <target> to {words}",
            ),
            fixed=(("case", case),),
        )
        for case, words, verb in (
            ("UPPERCASE", "(?:upper[ -]?case|capitals|capital letters|caps|all[ -]caps)", "upper[ -]?case"),
            ("lowercase", "(?:lower[ -]?case|small letters)", "lower[ -]?case"),
            (
                "Capitalize Every Word",
                "(?:title[ -]case|initial capitals)",
                "(?:capitali[sz]e (?:every|each) word (?:of|in))",
            ),
            ("Sentence case", "sentence[ -]case", "sentence[ -]case"),
        )
    ),
    Property(
        "clear_formatting",
        do=(
            rf"(?:{DELETE}|undo|reset) (?:all )?(?:the |any )?(?:(?:direct|character|manual|existing) )*formatting "
            "(?:of|from|on|in) <target>",
            "(?:make|turn) <target> (?:back )?(?:in)?to plain text(?: again)?",
            "(?:clear|strip|reset) <target>(?:'s)? (?:of )?(?:(?:all|its|direct) )*formatting",
        ),
    ),
)

PARAGRAPH = (
    Property(
        "style",
        is_=r"<style>(?: paragraph)?(?: style)?",
        has=r"(?:the )?(?:paragraph )?(?:style )?<style>(?: paragraph)?(?: style)?",
        name=r"(?:paragraph )?style",
        value=r"<style>",
    ),
    Property("style", is_="(?:main|top-level|first-level) heading", fixed=(("style", "Heading 1"),)),
    alignment("center", "cent(?:er|re)d", "cent(?:er|re)", "cent(?:er|re)"),
    alignment("right", "(?:flush )?right(?:[ -](?:aligned|justified))?", "right", "right[ -]?(?:align|justify)"),
    alignment("left", "(?:flush )?left(?:[ -](?:aligned|justified))?", "left", "left[ -]?(?:align|justify)"),
    alignment("justified", "(?:fully )?justified", "(?:justif(?:y|ied)|both (?:sides|margins))", "(?:fully )?justify"),
    *(
        Property(
            "line_spacing",
            is_=rf"{words}[ -]?(?:spaced|spacing)",
            has=rf"{AN}{words}[ -](?:line )?spacing|{AN}(?:line )?spacing of {words}(?: lines)?",
            do=(
                rf"{words}[ -]space <target>",
                rf"space (?:out )?the lines of <target> at {words}",
                rf"{GIVE} {words} (?:line )?spac(?:e|ing) between the lines of <target>",
            ),
            name=r"(?:line[ -])?spacing",
            value=rf"{words}(?: lines?| spacing)?",
            fixed=(("spacing", spacing),),
        )
        for spacing, words in (
            ("2", r"(?:double|2(?:\.0)?)"),
            ("1.5", r"(?:one and a half|1\.5|one-and-a-half)"),
            ("1.15", r"1\.15"),
            ("1", r"(?:single|1(?:\.0)?)"),
        )
    ),
    *(
        Property(
            f"space_{side}",
            has=rf"{AN}(?:spac(?:e|ing)|gap) of <length> {words}|<length>(?: of)?(?: spac(?:e|ing))? {words}",
            do=(
                rf"(?:leave|add|put|insert|have|set|keep) {AN}(?:(?:gap|space) of )?<length>(?: of)?"
                rf"(?: (?:white )?(?:space|spacing|room|gap))? {words} <target>",
                rf"(?:set|change|adjust|make) (?:the )?(?:paragraph )?(?:space|spacing|gap) {words} <target> "
                "(?:to|be) <length>",
            ),
            name=rf"(?:paragraph )?(?:spac(?:e|ing)|gap) {words}(?: paragraph)?|{words}[ -]paragraph spacing",
            value=r"<length>",
        )
        for side, words in (("before", "(?:before|above)"), ("after", "(?:after|below|under)"))
    ),
    Property(
        "first_line_indent",
        has=rf"{AN}first[ -]line {INDENT} (?:of )?<length>|{AN}<length> first[ -]line {INDENT}",
        do=(
            r"indent (?:(?:only|just) )?the first line (?:of|in) <target> (?:by )?<length>",
            rf"the first line of <target> {MUST} be indented (?:by )?<length>",
            r"indent the first line by <length> (?:for|in|on) <target>",
        ),
        name=rf"first[ -]line {INDENT}|{INDENT} of the first line",
        value=r"<length>",
    ),
    *(
        Property(
            f"indent_{side}",
            is_=rf"{INDENT} (?:by )?<length>{on_side}",
            has=rf"{AN}{side} {INDENT} (?:of )?<length>|{AN}<length> {side} {INDENT}|"
            rf"{AN}{INDENT} (?:of )?<length>{on_side}",
            do=(
                rf"indent <target> (?:by )?<length>{on_side}",
                rf"indent <target>{on_side} by <length>",
                rf"(?:move|shift|push) <target> (?:in )?<length> (?:in )?from the {side}(?: margin)?",
                rf"indent the {side} side of <target> by <length>",
                rf"(?:move|shift|push) <target> in from the {side}(?: margin)? by <length>",
            ),
            name=rf"(?:{side}[ -](?:hand )?{INDENT}|{INDENT} {text} (?:the )?text|{side} paragraph indent)",
            value=r"<length>",
        )
        for side, text, on_side in (
            ("left", "before", "(?: (?:from|on|at) the left(?: (?:side|margin))?)?"),
            ("right", "after", " (?:from|on|at) the right(?: (?:side|margin))?"),
        )
    ),
    Property(
        "bullets",
        is_=rf"(?:(?:un-?numbered|unordered|bullet(?:ed)?){LIST_WORDS}|bullets)",
        has=rf"{AN}bullets?{LIST_WORDS}(?: formatting| style)?",
        do=(
            "bullet <target>",
            "(?:start|begin) <target> with a bullet(?: point)?",
            rf"{GIVE} a bullet (?:point )?(?:in front of|before) <target>",
        ),
    ),
    Property(
        "numbering",
        is_=rf"(?:numbered|ordered|numbering){LIST_WORDS}",
        has=rf"(?:(?:automatic |list )?numbering|numbers|{AN}number(?:ed list)?)",
        do=("number <target>", rf"{GIVE} a number (?:in front of|before) <target>"),
    ),
    Property(
        "no_list",
        do=(
            rf"(?:{DELETE}|undo|turn off) (?:(?:the|its|all) )?{MARKS} (?:from|of|on|in|for|before|in front of) "
            "<target>",
            "<target> should (?:have no|not have an?|lose its) (?:bullet|number)",
            r"make <target> (?:an? )?(?:(?:normal|ordinary|plain) (?:paragraph|text) )?without an? "
            "(?:bullet|number)",
        ),
    ),
)

PATTERNS: tuple[Pattern, ...] = tuple(
    pattern(shape.operation, frame, **dict(shape.fixed)) for shape in CHARACTER + PARAGRAPH for frame in frames(shape)
)
