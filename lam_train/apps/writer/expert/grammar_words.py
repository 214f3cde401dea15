"""Word classes that the patterns share: verbs with their synonyms, articles, what introduces a text."""

INSERT = (
    r"(?:insert|add|put|place|create|include|make|append|attach|drop in|write|type|have|get|set up|draw|build|give me|"
    r"show|enter|there should be)"
)
ATTACH = r"(?:insert|add|put|place|create|attach|leave|include|write|append|make|set)"
DELETE = (
    r"(?:delete|remove|drop|erase|get rid of|take out|take away|take off|cut|eliminate|strip|clear|discard|throw away)"
)
ANY_MORE = r"(?:,? (?:any ?more|any longer|completely|altogether|entirely|from the (?:document|text)))?"
GONE = r"(?:should|must|can|needs to|has to) (?:be (?:deleted|removed|dropped|cut|taken out|erased)|go|disappear)"
REPLACE = r"(?:replace|substitute|swap|exchange|change|update|edit|correct|rename|turn)"
SET = r"(?:set|change|make|turn|switch|put|adjust|use|convert|rotate|flip|give|have)"
MAKE = (
    r"(?:make|turn|set|put|render|show|display|format|print|write|change|convert|have|get|style|mark|type|keep|switch|"
    r"raise|lower|promote)"
)
CHANGE = (
    r"(?:change|set|switch|adjust|make|modify|update|turn|increase|reduce|raise|lower|decrease|bring|put|fix|alter)"
)
GIVE = r"(?:apply|add|use|give|assign|put|set|insert)"
MUST = r"(?:should|must|needs to|need to|has to|have to|ought to|shall|is to|is supposed to)"

A = r"(?:(?:an?|the|one|some) )?(?:(?:new|short|small|blank|empty|extra|another|more|further|table) )*"
THE = r"(?:the )?"
EVERY = (
    r"(?:(?:all|every|each)(?: the)?(?: (?:single|of the))?"
    r"(?: (?:occurrences?|instances?|mentions?|appearances?)(?: of)?)?)"
)
EVERYWHERE = (
    r"(?:everywhere|throughout(?: the (?:document|text))?|wherever it (?:occurs|appears)|in the (?:whole|entire) "
    r"(?:document|text)|in all places|all over the (?:document|text))"
)
WORD = r"(?:the )?(?:(?:word|words|phrase|text|term|name) )?"
PAGE = r"(?:(?:the|this|all|every|whole|entire) )*(?:pages?|document|page layout|text|layout|paper)"
SAYING = (
    r"(?:,? (?:saying|that says|reading|that reads|with|containing|which (?:says|reads)|stating|to (?:say|read))"
    r"(?: the)?(?: text| words?| note| comment)?:?|:)"
)


def maybe(words: str) -> str:
    """The words, after a space, or nothing."""
    return f"(?: {words})?"
