// In a file of its own, so that two processors share the work.
import { testSeeds } from './cluster-runs.ts'

testSeeds('twenty more fixed fault scripts', 91, 20)
