/**
 * What may happen around three replicas under calls, beyond what reload.test.ts has: a pod cut off, the operator or the
 * leader killed while the Deployment rolls, a set that loses its backends, a PBX that is drained. In each the ledger shows no
 * call lost and none sent to a destination known dead; afterwards all pods run the same and nothing is written any more.
 */
import { setTimeout as wait } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { byName } from "../../../src/api/index.ts";
import { parseHtableAnswer } from "../../../src/kamailio/parse.ts";
import { Asterisk, reader } from "../../support/asterisk.ts";
import { until } from "../../support/until.ts";
import { API, Dead, Fleet, lost, main, routes, special, type Pod } from "./fleet.ts";
import { OperatorProcess } from "./process.ts";

const names = ["pbx-1", "pbx-2", "pbx-3", "pbx-4"] as const;
const spec = {
  replicas: 3,
  listeners: [{ name: "udp", transport: "UDP", port: 5060 }],
  drain: { timeoutSeconds: 5 },
  healthCheck: { intervalSeconds: 1, timeoutSeconds: 1, failureThreshold: 3 },
  failover: { timeoutSeconds: 1 },
  dispatcherSets: [main("pbx-1", "pbx-2"), special("pbx-4")],
  routes: routes("3000-3999"),
};
const withTcp = { listeners: [...spec.listeners, { name: "tcp", transport: "TCP", port: 5060 }] };
let fleet: Fleet;

beforeAll(async () => {
  fleet = await Fleet.start("127.63");
  for (const name of names) await fleet.startPbx(name);
  await fleet.apply(...names.map((name) => fleet.backend(name)), {
    apiVersion: API,
    kind: "SipRouter",
    metadata: { name: "edge" },
    spec,
  });
  await fleet.settled();
});
beforeEach(async () => {
  await fleet.ensureOperator();
  await fleet.apply(...names.map((name) => fleet.backend(name)));
  await fleet.edit(spec);
  // a change of structure is over when nothing is written any more
  await fleet.equalAndQuiet();
});
afterAll(() => fleet.stop());

/** The processes of a pod's Kamailio that serve TCP: its control port, and no SIP over UDP. */
async function controlProcesses(ip: string): Promise<number[]> {
  const answer = (await fleet.control.call({ host: ip, port: 9060, token: await fleet.token() }, "core.psx")) as {
    PID: number;
    DSC: string;
  }[];
  return answer.filter(({ DSC }) => /tcp/i.test(DSC)).map(({ PID }) => PID);
}

describe("cut off", { timeout: 300_000 }, () => {
  test("a pod whose control port is unreachable holds up nobody, and has the newest revision before it is ready again", async () => {
    const [victim, ...others] = (await fleet.pods()) as [Pod, ...Pod[]];
    const processes = await controlProcesses(victim.ip);
    expect(processes.length).toBeGreaterThan(0);
    const late: string[] = [];
    const ledger = await fleet.during(async () => {
      for (const pid of processes) process.kill(pid, "SIGSTOP");
      try {
        // it takes calls nevertheless
        expect(await fleet.callsTo(victim.ip, "1001", 2)).toHaveLength(2);
        await fleet.edit({ routes: routes("3000-3999", "1800") });
        await until("the others have it", async () => {
          const answers = await Promise.all(others.map(({ ip }) => fleet.callsTo(ip, "1800", 1)));
          return answers.flat().every((answer) => answer === "200 pbx-4");
        });
        await until("it is said which pod does not answer", async () => {
          const shown = (await fleet.status()).pods?.find(({ name }) => name === victim.name);
          return shown?.state === "Failed" && (await fleet.pods()).some((pod) => pod.ip === victim.ip && !pod.ready);
        });
      } finally {
        for (const pid of processes) process.kill(pid, "SIGCONT");
      }
      await until("it is ready again", async () =>
        (await fleet.pods()).some((pod) => pod.ip === victim.ip && pod.ready),
      );
      late.push(...(await fleet.callsTo(victim.ip, "1800", 5)));
    });
    expect(lost(ledger)).toEqual([]);
    expect(late).toEqual(Array(5).fill("200 pbx-4"));
    await fleet.equalAndQuiet();
  });
});

describe("a change of structure", { timeout: 400_000 }, () => {
  test("the operator is killed while the Deployment rolls, again and again: no call is lost, a dead PBX gets none", async () => {
    await fleet.stopPbx("pbx-2");
    const dead = await new Dead().listen(fleet.at("pbx-2"));
    try {
      await until("all pods know that it is dead", async () => {
        const [use] = (await fleet.backendStatus("pbx-2")).routers ?? [];
        return use?.state === "Inactive" && use.activePods === 0 && use.totalPods === 3;
      });
      dead.invites = 0;
      const before = (await fleet.pods()).map(({ name }) => name);
      const ledger = await fleet.during(async () => {
        await fleet.edit({ ...withTcp, routes: routes("3000-3999", "1900") });
        for (const delay of [0, 150, 700, 2500]) {
          await wait(delay);
          await fleet.killOperator();
          await fleet.startOperator();
        }
        await fleet.settled();
      });
      expect((await fleet.pods()).filter(({ name }) => before.includes(name))).toEqual([]);
      expect(lost(ledger)).toEqual([]);
      expect(dead.invites).toBe(0);
      expect(await fleet.everywhere("1900")).toEqual(Array(3).fill("200 pbx-4"));
    } finally {
      await dead.close();
      await fleet.startPbx("pbx-2");
    }
    await fleet.equalAndQuiet();
  });

  test("the leader is killed in the middle of it: the one that stands by brings it to its end", async () => {
    await fleet.operator.end();
    await fleet.startOperator("--leader-elect");
    const second = new OperatorProcess(fleet.server.kubeconfigPath, "--leader-elect");
    await until("it stands by", () => second.logged("standing by") !== undefined);
    const ledger = await fleet.during(async () => {
      await fleet.edit({ ...withTcp, routes: routes("3000-3999", "1910") });
      await wait(500);
      await fleet.killOperator();
      fleet.operator = await second.started();
      await fleet.settled();
    });
    expect(lost(ledger)).toEqual([]);
    expect(await fleet.everywhere("1910")).toEqual(Array(3).fill("200 pbx-4"));
    await fleet.equalAndQuiet();
  });
});

describe("a rollout whose first pod does not become ready", { timeout: 400_000 }, () => {
  test("stops there and says why: the old pods serve, and the next edit is taken", async () => {
    const before = (await fleet.pods()).toSorted(byName);
    // Kubernetes' own is ten minutes
    await fleet.patch("deployment", "edge", { progressDeadlineSeconds: 10 });
    const free = [1, 2, 3, 4, 5, 6]
      .map((index) => `127.63.1.${index}`)
      .filter((ip) => !before.some((pod) => pod.ip === ip));
    // no Kamailio can listen there
    const taken = await Promise.all(free.map((ip) => new Dead().listen({ ip, port: 5070 })));
    const listeners = [...spec.listeners, { name: "more", transport: "UDP", port: 5070 }];
    const said = async (): Promise<boolean> => {
      const { reason, message = "" } = (await fleet.status()).conditions?.find(({ type }) => type === "Ready") ?? {};
      const stuck = (await fleet.pods()).filter(({ ready }) => !ready);
      return (
        reason === "RolloutFailed" &&
        message.includes("ProgressDeadlineExceeded") &&
        stuck.some(({ name }) => message.includes(` ${name}: `))
      );
    };
    try {
      const ledger = await fleet.during(async () => {
        await fleet.edit({ listeners });
        await until("it is said, and of which pod", said, 120_000);
      });
      expect(lost(ledger)).toEqual([]);
      const now = await fleet.pods();
      expect(now.filter(({ ready }) => ready).toSorted(byName)).toEqual(before);
      expect(now.filter(({ ready }) => !ready)).toHaveLength(1);
      expect(await fleet.everywhere("3001")).toContain("200 pbx-4");
    } finally {
      await Promise.all(taken.map((one) => one.close()));
    }
    await fleet.edit(spec);
    await fleet.equalAndQuiet();
    expect((await fleet.pods()).toSorted(byName)).toEqual(before);
  });
});

describe("a revision that a pod does not take", { timeout: 500_000 }, () => {
  test("is put back everywhere, also by an operator that is started meanwhile; when the pod is well it gets it by itself", async () => {
    const [victim, ...others] = (await fleet.pods()).toSorted(byName) as [Pod, ...Pod[]];
    const address = { host: victim.ip, port: 9060, token: await fleet.token() };
    const tree = parseHtableAnswer(await fleet.control.call(address, "htable.get", ["st", "tree"])) ?? 0;
    const { revision: good } = await fleet.status();
    // of two trees one is in use and the other is loaded: with a third one in use no reload works
    await fleet.control.call(address, "htable.seti", ["st", "tree", 5]);
    // a table that does not come may have its files on the way: that is waited for (two minutes)
    const halted = () =>
      until(
        "the change is halted",
        async () => {
          const { reason, message = "" } =
            (await fleet.status()).conditions?.find(({ type }) => type === "Programmed") ?? {};
          return (
            reason === "ReloadFailed" && message.includes(victim.name) && message.includes(`${good}, the last good`)
          );
        },
        250_000,
      );
    const served = async (): Promise<string[]> =>
      (await Promise.all(others.map(({ ip }) => fleet.callsTo(ip, "1970", 3)))).flat();
    try {
      await fleet.edit({ routes: routes("3000-3999", "1970") });
      await halted();
      // 1970 is in the range that goes to main as long as nobody has the new route
      expect((await served()).filter((answer) => !/^200 pbx-[12]$/.test(answer))).toEqual([]);
      await fleet.killOperator();
      await fleet.startOperator();
      for (let second = 0; second < 5; second += 1) {
        await wait(1000);
        expect((await served()).filter((answer) => !/^200 pbx-[12]$/.test(answer))).toEqual([]);
      }
    } finally {
      await fleet.control.call(address, "htable.seti", ["st", "tree", Number(tree)]);
    }
    await fleet.settled();
    expect(await fleet.everywhere("1970")).toEqual(Array(3).fill("200 pbx-4"));
    await fleet.equalAndQuiet();
  });
});

describe("never an empty set", { timeout: 300_000 }, () => {
  test("a set that loses its last backend goes on with it, also after the operator and a pod started anew", async () => {
    const [victim] = await fleet.pods();
    const ledger = await fleet.during(async () => {
      await fleet.kubectl("delete", "pbxbackend", "pbx-4");
      await until("it is said", async () => {
        const { status, message = "" } =
          (await fleet.status()).conditions?.find(({ type }) => type === "ResolvedRefs") ?? {};
        return (
          status === "False" &&
          message.includes("PbxBackend default/pbx-4 does not exist") &&
          message.includes("goes on serving")
        );
      });
      expect(await fleet.everywhere("3001")).toEqual(Array(3).fill("200 pbx-4"));
      await fleet.killOperator();
      await fleet.node.kill(victim?.name ?? "");
      await fleet.startOperator();
      await until(
        "the pod serves again",
        async () => {
          const pods = await fleet.pods();
          return pods.length === 3 && pods.every(({ ready }) => ready);
        },
        40_000,
      );
      await fleet.kubectl("delete", "pbxbackend", "pbx-1", "pbx-2", "pbx-3");
      await until("all of them are missed", async () =>
        (await fleet.status()).conditions?.some(({ message }) => message.includes("pbx-1")),
      );
      expect(await fleet.everywhere("3001")).toEqual(Array(3).fill("200 pbx-4"));
      expect(lost(await fleet.everywhere("1001"))).toEqual([]);
    });
    // a pod that is killed takes the calls with it that it is setting up or ending
    const ofVictim = new RegExp(String.raw`^(none|unfinished).*, by ${victim?.ip} until `);
    expect(lost(ledger).filter((answer) => !ofVictim.test(answer))).toEqual([]);
    await fleet.apply(...names.map((name) => fleet.backend(name)));
    await fleet.equalAndQuiet();
  });
});

describe("the API server", { timeout: 300_000 }, () => {
  test("is away while a pod is killed: it serves again from its files, and what is edited afterwards counts", async () => {
    const [victim] = await fleet.pods();
    await fleet.server.stopApiServer();
    try {
      await fleet.node.kill(victim?.name ?? "");
      await until(
        "the pod takes calls again",
        async () => (await fleet.callsTo(victim?.ip ?? "", "1001", 1)).join().startsWith("200 pbx-"),
        40_000,
      );
    } finally {
      await fleet.server.startApiServer();
    }
    const ledger = await fleet.during(() => fleet.changed(() => fleet.edit({ routes: routes("3000-3999", "1950") })));
    expect(lost(ledger)).toEqual([]);
    expect(await fleet.everywhere("1950")).toEqual(Array(3).fill("200 pbx-4"));
    await fleet.equalAndQuiet();
  });

  test("is away for a minute: the leader ends when it cannot renew its lease and is started again, as a kubelet does; no call is lost, a dead PBX gets none", async () => {
    await fleet.operator.end();
    await fleet.startOperator("--leader-elect");
    await fleet.stopPbx("pbx-2");
    const dead = await new Dead().listen(fleet.at("pbx-2"));
    try {
      await until("all pods know that it is dead", async () => {
        const [use] = (await fleet.backendStatus("pbx-2")).routers ?? [];
        return use?.state === "Inactive" && use.activePods === 0 && use.totalPods === 3;
      });
      dead.invites = 0;
      const began = Date.now();
      const ledger = await fleet.during(async () => {
        await fleet.server.stopApiServer();
        try {
          await until("it does not lead any more", () => !fleet.operator.running, 60_000);
          await until("a minute is over", () => Date.now() - began >= 60_000, 90_000);
        } finally {
          await fleet.server.startApiServer();
        }
        await fleet.startOperator("--leader-elect");
        await fleet.changed(() => fleet.edit({ routes: routes("3000-3999", "1955") }));
      });
      expect(lost(ledger)).toEqual([]);
      expect(dead.invites).toBe(0);
      expect(await fleet.everywhere("1955")).toEqual(Array(3).fill("200 pbx-4"));
    } finally {
      await dead.close();
      await fleet.startPbx("pbx-2");
      await fleet.operator.end();
      await fleet.startOperator();
    }
    await fleet.equalAndQuiet();
  });
});

describe("a PBX with a manager interface", { timeout: 300_000 }, () => {
  const name = "pbx-9";
  const management = { ami: { secretName: "asterisk" } };
  const secret = (password: string): object => ({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "asterisk" },
    stringData: { username: reader.username, password },
  });

  test("shows its version, says when the login is wrong, and is drained when its last call is over", async () => {
    const asterisk = await Asterisk.start({ ip: fleet.at(name).ip });
    try {
      await fleet.apply(secret("wrong"), fleet.backend(name, { management }));
      await fleet.edit({ dispatcherSets: [main("pbx-1"), special(name)] });
      const managed = (what: string) =>
        until(what, async () => (await fleet.backendCondition(name, "Managed")) === what);
      await managed("False ManagerLoginRefused");
      expect((await fleet.kubectl("get", "pbxbackend,events", "-o", "yaml")).stdout).not.toContain(reader.password);
      await fleet.apply(secret(reader.password));
      await managed("True Managed");
      expect((await fleet.backendStatus(name)).management).toMatchObject([
        { address: asterisk.ip, port: 5038, state: "Connected", version: expect.stringMatching(/^\d+\.\d+/) as string },
      ]);
      await fleet.settled();

      const talking = fleet.callsTo((await fleet.pods())[0]?.ip ?? "", "3001", 2, 12_000);
      const metric = async (): Promise<string | undefined> =>
        (await fleet.operator.get("/metrics")).text
          .split("\n")
          .find((line) => line.startsWith("siprouter_asterisk_channels{"));
      await until("the channels are counted", async () => (await metric())?.endsWith("} 2"));
      await fleet.patch("pbxbackend", name, { adminState: "Draining" });
      await until("calls are left", async () => (await fleet.backendCondition(name, "Drained")) === "False Draining");
      const { message } = (await fleet.backendStatus(name)).conditions?.find(({ type }) => type === "Drained") ?? {};
      expect(message).toMatch(/channels of its Asterisk/);
      expect(lost(await talking).every((answer) => answer.startsWith("200"))).toBe(true);
      await until("it is drained", async () => (await fleet.backendCondition(name, "Drained")) === "True Drained");
      await until("it is told", async () =>
        (await fleet.kubectl("get", "events", "-o", "jsonpath={.items[*].reason}")).stdout
          .split(" ")
          .includes("Drained"),
      );
    } finally {
      await asterisk.stop();
      await fleet.edit(spec);
      await fleet.kubectl("delete", "pbxbackend", name);
    }
  });
});
