/**
 * raft-ts/testing: the simulator, public so that users can prove their own state machines, and its parts, so that
 * they can simulate whole programs around Raft.
 *
 * @module raft-ts/testing
 */
export { type Coverage, type CoverageName, coverageNames } from './coverage.ts'
export { extendDigest } from './digest.ts'
export type * from './fault.ts'
export { type Minimised, type MinimiseOptions, minimise } from './minimise.ts'
export { Oracle, Violation, type WatchedNode } from './oracle.ts'
export { type PlantedBug, plantedBugs } from './planted-bugs.ts'
export { ProcessFault, SimProcess } from './process.ts'
export { SimRandom } from './random.ts'
export { type PlainSimOptions, type RunOptions, type RunSummary, runSeeds } from './run.ts'
export { type SimOptions, type SimResult, simulate } from './simulate.ts'
export { calmDisk, type DiskWeather, VirtualDisk } from './virtual-disk.ts'
export { calmNetwork, type NetworkWeather, VirtualNetwork } from './virtual-network.ts'
export { type SimEvent, World } from './world.ts'
