/** Reads back all that must be compared with the desired data of one pod. */
import type { DesiredData } from "../render/types.ts";
import type { Control, ControlAddress, PodReading } from "./types.ts";

/** @throws OperatorError SIPR_RPC_UNREACHABLE, SIPR_RPC_FAULT, SIPR_RPC_MALFORMED */
export const readPod = async (control: Control, address: ControlAddress, desired: DesiredData): Promise<PodReading> => {
  void control;
  void address;
  void desired;
  throw new Error("not implemented");
};
