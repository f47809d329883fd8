"""Faults of hop "sandbox", first half: the mark, and IPVS with its backends."""

from lab.faults.changes import SANDBOX, commands, lost_rule
from lab.faults.model import Answers, Fault, On, Requests, Role, Shown, Step
from lab.faults.threads import MEASURED, moby
from lab.hops.verdict import Hop

MARKING = "-p tcp -m tcp --dport {port} -j MARK --set-mark {mark}"
MARKING_WRONG = "-p tcp -m tcp --dport {port} -j MARK --set-mark {other_mark}"
VIP_MARKING = "-d {vip}/32 -j MARK --set-mark {mark}"
MANGLE = "{sandbox_ns} iptables -t mangle"
IPVSADM = "{sandbox_ns} ipvsadm"
SERVICE = f"{IPVSADM} -Ln -f {{mark}} 2>/dev/null"
EVERYWHERE = ("R1-inside", "R2-outside")
IDLE = (
    "bash -c 'exec 3<>/dev/tcp/{address}/{port}; "
    'ask() { printf "GET / HTTP/1.1\\r\\nHost: idle\\r\\n\\r\\n" >&3; }; '
    "ask; read -t 5 -r line <&3 || exit 1; while read -t 3 -r line <&3; do :; done; "
    "ask; ! read -t 3 -r line <&3' 2>/dev/null"
)
"""Asks, waits until nothing has come for 3 s, asks again on the same connection."""

QUIET = "2>/dev/null || :"
"""ipvsadm(8) complains about what was done already. That it is healed is looked at after."""

FAULTS = (
    Fault(
        id="mark-lost",
        title="the sandbox does not mark requests any more",
        symptom="requests through this node are refused at once",
        hop=Hop.SANDBOX,
        first="B1-mark[{node}]",
        role=Role.ANY,
        level=1,
        change=lost_rule("PREROUTING", MARKING, table="mangle", where=SANDBOX),
        bites=Requests(Answers.REFUSED),
        source=MEASURED,
        felt=EVERYWHERE,
    ),
    Fault(
        id="mark-wrong",
        title="the sandbox marks requests with a number IPVS does not know",
        symptom="requests through this node are refused at once, though there is a mark rule",
        hop=Hop.SANDBOX,
        first="B1-mark[{node}]",
        role=Role.ANY,
        level=2,
        change=commands(
            inject=f"{MANGLE} -A PREROUTING {MARKING_WRONG}; {MANGLE} -D PREROUTING {MARKING}",
            present=f"{MANGLE} -C PREROUTING {MARKING_WRONG} 2>/dev/null",
            heal=f"{MANGLE} -C PREROUTING {MARKING} 2>/dev/null || "
            f"{MANGLE} -A PREROUTING {MARKING}; "
            f"{MANGLE} -D PREROUTING {MARKING_WRONG} {QUIET}",
        ),
        bites=Requests(Answers.REFUSED),
        source=MEASURED,
        felt=EVERYWHERE,
    ),
    Fault(
        id="vip-mark-lost",
        title="the sandbox does not mark packets for the service's virtual address",
        symptom="nothing: the published port does not need this rule",
        hop=Hop.SANDBOX,
        first="B3-vip-mark[{node}]",
        role=Role.ANY,
        level=3,
        change=lost_rule("INPUT", VIP_MARKING, table="mangle", where=SANDBOX),
        bites=Shown(
            "no rule marks packets for the virtual address",
            Step(f"! {MANGLE} -S INPUT | grep -qwF {{vip}}/32"),
        ),
        source=MEASURED,
    ),
    Fault(
        id="scheduler-changed",
        title="IPVS chooses by the client's address instead of in turn",
        symptom="one client always gets the same replica",
        hop=Hop.SANDBOX,
        first="B4-ipvs[{node}]",
        role=Role.ANY,
        level=2,
        change=commands(
            inject=f"{IPVSADM} -E -f {{mark}} -s sh",
            present=f"{SERVICE} | grep -q '^FWM .* sh'",
            heal=f"{IPVSADM} -E -f {{mark}} -s rr",
        ),
        bites=Requests(Answers.ONE),
        source=MEASURED,
        felt=("R3-alternate", "R4-even"),
    ),
    Fault(
        id="clients-stick",
        title="IPVS remembers its clients",
        symptom="one client always gets the same replica, whatever the scheduler says",
        hop=Hop.SANDBOX,
        first="B4-ipvs[{node}]",
        role=Role.ANY,
        level=2,
        change=commands(
            inject=f"{IPVSADM} -E -f {{mark}} -s rr -p 300",
            present=f"{SERVICE} | grep -q '^FWM .* persistent'",
            heal=f"{IPVSADM} -E -f {{mark}} -s rr",
        ),
        bites=Requests(Answers.ONE),
        source=MEASURED,
        felt=("R3-alternate", "R4-even"),
    ),
    Fault(
        id="ipvs-cleared",
        title="somebody has cleared the IPVS table",
        symptom="requests through this node are refused at once, though there is a mark",
        hop=Hop.SANDBOX,
        first="B4-ipvs[{node}]",
        also=(
            "B5-backends[{node}]",
            "B7-masq[{node}]",
            "B8-weight[{node}]",
            "T3-address[{slots}]",
        ),
        role=Role.ANY,
        level=1,
        change=commands(
            inject=f"{IPVSADM} -C",
            present=f"! {SERVICE} | grep -q -- '-> [0-9]'",
            heal=f"{IPVSADM} -A -f {{mark}} -s rr {QUIET}; "
            f"for backend in {{add_backends}}; do {IPVSADM} $backend {QUIET}; done",
        ),
        bites=Requests(Answers.REFUSED),
        source=moby(26930),
        felt=EVERYWHERE,
    ),
    Fault(
        id="backend-missing",
        title="a replica is missing among the backends",
        symptom="one replica gets no request that enters at this node",
        hop=Hop.SANDBOX,
        first="B5-backends[{node}]",
        also=("T3-address[{slot}]",),
        role=Role.TASK,
        level=2,
        change=commands(
            inject=f"{IPVSADM} -d -f {{mark}} -r {{task}}",
            present=f"! {SERVICE} | grep -q -- '-> {{task}}:'",
            heal=f"{IPVSADM} -a -f {{mark}} -r {{task}} -m -w 1 {QUIET}",
        ),
        bites=Requests(Answers.ONE),
        source=moby(41896),
        felt=("R4-even",),
    ),
    Fault(
        id="ghost-backend",
        title="a backend that is no replica any more was never removed",
        symptom="every third request through this node hangs",
        hop=Hop.SANDBOX,
        first="B5-backends[{node}]",
        role=Role.ANY,
        level=2,
        change=commands(
            inject=f"{IPVSADM} -a -f {{mark}} -r {{nobody}} -m -w 1",
            present=f"{SERVICE} | grep -q -- '-> {{nobody}}:'",
            heal=f"{IPVSADM} -d -f {{mark}} -r {{nobody}} {QUIET}",
        ),
        bites=Requests(Answers.SOME),
        source=moby(26060),
        felt=EVERYWHERE,
    ),
    Fault(
        id="backend-swapped",
        title="a ghost has taken a replica's place among the backends, one for one",
        symptom="every other request through this node hangs; the number of backends is right",
        hop=Hop.SANDBOX,
        first="B5-backends[{node}]",
        also=("T3-address[{slot}]",),
        role=Role.TASK,
        level=3,
        change=commands(
            inject=f"{IPVSADM} -a -f {{mark}} -r {{nobody}} -m -w 1; "
            f"{IPVSADM} -d -f {{mark}} -r {{task}}",
            present=f"{SERVICE} | grep -q -- '-> {{nobody}}:'",
            heal=f"{IPVSADM} -a -f {{mark}} -r {{task}} -m -w 1 {QUIET}; "
            f"{IPVSADM} -d -f {{mark}} -r {{nobody}} {QUIET}",
        ),
        bites=Requests(Answers.SOME),
        source=moby(30464),
        felt=EVERYWHERE,
    ),
    Fault(
        id="backend-drained",
        title="a replica has weight 0, as if it were being shut down",
        symptom="one replica gets no request that enters at this node",
        hop=Hop.SANDBOX,
        first="B8-weight[{node}]",
        role=Role.TASK,
        level=2,
        change=commands(
            inject=f"{IPVSADM} -e -f {{mark}} -r {{task}} -m -w 0",
            present=f"{SERVICE} | grep -Eq -- '-> {{task}}:[0-9]+ +[A-Za-z]+ +0 '",
            heal=f"{IPVSADM} -e -f {{mark}} -r {{task}} -m -w 1 {QUIET}",
        ),
        bites=Requests(Answers.ONE),
        source=moby(41896),
        felt=("R3-alternate", "R4-even"),
    ),
    Fault(
        id="backend-direct",
        title="a replica is to be reached without address translation",
        symptom="every other request through this node fails; backends and weights are right",
        hop=Hop.SANDBOX,
        first="B7-masq[{node}]",
        role=Role.TASK,
        level=3,
        change=commands(
            inject=f"{IPVSADM} -e -f {{mark}} -r {{task}} -g -w 1",
            present=f"{SERVICE} | grep -Eq -- '-> {{task}}:[0-9]+ +Route '",
            heal=f"{IPVSADM} -e -f {{mark}} -r {{task}} -m -w 1 {QUIET}",
        ),
        bites=Requests(Answers.SOME),
        source=MEASURED,
        felt=EVERYWHERE,
    ),
    Fault(
        id="idle-timeout",
        title="IPVS forgets connections that are idle for some seconds",
        symptom="a connection that was idle for longer is dead; fresh ones are fine",
        hop=Hop.SANDBOX,
        first="B16-idle[{node}]",
        role=Role.ANY,
        level=3,
        change=commands(
            inject=f"{IPVSADM} --set 2 120 300",
            present=f"{IPVSADM} -l --timeout | grep -qw 'udp): 2'",
            heal=f"{IPVSADM} --set 900 120 300",
        ),
        bites=Shown(
            "a connection that was idle for 3 s gets no second answer", Step(IDLE, On.OTHER)
        ),
        source=moby(31208),
    ),
)
