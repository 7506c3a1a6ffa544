"""Support posts written for the tests: per label eight for training and five for evaluation, three labels."""

LEARN = {
    "billing": [
        "I was charged twice for the same month",
        "why is there a fee on my invoice that nobody told me about",
        "please refund the payment you took on Monday",
        "my card was billed 40 euros and I only owe 20",
        "the invoice for March is wrong again",
        "you took money from my account after I cancelled",
        "I need a receipt for last month's payment",
        "what is this extra charge on the bill",
    ],
    "delivery": [
        "my parcel still has not arrived after two weeks",
        "the courier left the box in the rain",
        "tracking says delivered but there is nothing at the door",
        "when will the package get here",
        "the driver went to the wrong address",
        "half of the order is missing from the box",
        "still waiting for the shipment you promised for Friday",
        "the box came crushed and open",
    ],
    "login": [
        "I cannot sign in since this morning",
        "the password reset mail never comes",
        "my account is locked and I do not know why",
        "the app says my code is invalid every time",
        "two factor login keeps failing",
        "it logs me out again after every click",
        "I forgot my password and the link does not work",
        "the sign in page just spins",
    ],
}
JUDGE = {
    "billing": [
        "there are two payments on my card for one order",
        "could you send me the bill for April once more",
        "my refund is still not on my account",
        "this month's invoice is higher than it should be",
        "stop charging me, the contract ended",
    ],
    "delivery": [
        "the package was left with a neighbour I do not know",
        "no sign of my order, it should have come yesterday",
        "the courier never rang the bell",
        "the shipment is stuck somewhere since Tuesday",
        "my box arrived with half the things missing",
    ],
    "login": [
        "I can't get into my account",
        "the code for signing in does not reach my phone",
        "reset my password please, the link is dead",
        "the app throws me out whenever I sign in",
        "account locked again after one wrong password",
    ],
}
