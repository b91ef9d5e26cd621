/** RTPEngine in a pod, in user space: its control port is UDP 2223. */
import { imageOf } from "./environment.ts";

const options = [
  ..."--config-file=none --foreground --log-stderr --table=-1 --interface=any --listen-ng=0.0.0.0:2223".split(" "),
  ..."--port-min=30000 --port-max=30999".split(" "),
];

/** Found by the label `rtpengine`, its name. */
export const rtpengine = (name: string): object => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, labels: { rtpengine: name } },
  spec: {
    terminationGracePeriodSeconds: 0,
    containers: [
      {
        name: "rtpengine",
        image: imageOf("rtpengine"),
        imagePullPolicy: "IfNotPresent",
        command: ["rtpengine"],
        args: options,
      },
    ],
  },
});
