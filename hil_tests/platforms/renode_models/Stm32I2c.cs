// The I2C controller of the STM32F4 as a master, byte by byte: ST's RM0090, chapter 27. Renode's own fetches what a
// slave says in one go, so that MicroPython's driver, which steers the last two bytes by ACK, POS and BTF, read a
// silently wrong second byte.
//
// A byte is on the bus for no time. A received byte waits in the data register and the next one in the shift
// register, and the clock is stretched until software reads: a slave is never asked for a byte that the master
// did not acknowledge the one before of. What a master writes reaches the slave at the end, by STOP or a repeated
// START, because slaves in Renode take a whole message.
//
// Not here: slave mode, 10-bit addresses, interrupts, DMA, PEC, bus errors, lost arbitration; a slave that refuses
// a byte of data.

using System.Collections.Generic;

using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure;
using Antmicro.Renode.Logging;
using Antmicro.Renode.Peripherals.Bus;
using Antmicro.Renode.Peripherals.I2C;

namespace Antmicro.Renode.Peripherals.Carbonmeter
{
    public class Stm32I2c : SimpleContainer<II2CPeripheral>, IDoubleWordPeripheral, IKnownSize
    {
        public Stm32I2c(IMachine machine) : base(machine)
        {
            Reset();
        }

        public override void Reset()
        {
            settings.Clear();
            control = 0;
            Release();
        }

        public uint ReadDoubleWord(long offset)
        {
            switch(offset)
            {
                case Control1:
                    return control;
                case Data:
                    return TakeReceived();
                case Status1:
                    return Flags();
                case Status2:
                    return ReadStatus2();
                default:
                    uint kept;
                    return settings.TryGetValue(offset, out kept) ? kept : offset == RiseTime ? RiseTimeAtReset : 0;
            }
        }

        public void WriteDoubleWord(long offset, uint value)
        {
            switch(offset)
            {
                case Control1:
                    WriteControl(value);
                    break;
                case Data:
                    WriteData((byte)value);
                    break;
                case Status1:
                    // Only a zero says something: it clears an error.
                    isRefused &= (value & AcknowledgeFailure) != 0;
                    break;
                case Status2:
                    break;
                default:
                    settings[offset] = value;
                    break;
            }
        }

        public long Size { get { return 0x400; } }

        private void WriteControl(uint value)
        {
            control = value & ~(StartRequest | StopRequest);
            if((value & SoftwareReset) != 0 || (value & Enabled) == 0)
            {
                EndTransfer();
                Release();
                return;
            }
            if((value & StopRequest) != 0)
            {
                EndTransfer();
            }
            if((value & StartRequest) != 0)
            {
                PassOn();
                phase = Phase.Started;
                received.Clear();
                isRefused = false;
            }
        }

        private void WriteData(byte value)
        {
            switch(phase)
            {
                case Phase.Started:
                    Address(value);
                    break;
                case Phase.Sending:
                    sent.Add(value);
                    break;
                default:
                    this.Log(LogLevel.Warning, "0x{0:X2} is written to the data register while nothing is sent", value);
                    break;
            }
        }

        private void Address(byte value)
        {
            isReading = (value & 1) != 0;
            isRefused = !TryGetByAddress(value >> 1, out slave);
            phase = isRefused ? Phase.Idle : Phase.Addressed;
        }

        // With SR1 read before, this is what clears ADDR, and lets the clock go on.
        private uint ReadStatus2()
        {
            var flags = IsMaster ? MasterMode | Busy : 0;
            flags |= IsMaster && !isReading ? Transmitting : 0;
            if(phase == Phase.Addressed)
            {
                phase = isReading ? Phase.Receiving : Phase.Sending;
                Receive();
            }
            return flags;
        }

        private uint Flags()
        {
            switch(phase)
            {
                case Phase.Started:
                    return StartSent;
                case Phase.Addressed:
                    return AddressSent;
                case Phase.Sending:
                    return DataEmpty | (sent.Count > 0 ? ByteDone : 0);
                default:
                    // What was received can be read after STOP too.
                    return (received.Count > 0 ? DataReceived : 0) | (received.Count == Registers ? ByteDone : 0)
                        | (isRefused ? AcknowledgeFailure : 0);
            }
        }

        // Bytes come as long as one of the two registers is free and the last one was acknowledged. With POS the
        // acknowledge bit is that of the byte after the next one.
        private void Receive()
        {
            while(phase == Phase.Receiving && received.Count < Registers)
            {
                var said = slave.Read(1);
                received.Enqueue(said.Length > 0 ? said[0] : NobodyPullsDown);
                var isFirstOfTwo = (control & AcknowledgeNext) != 0 && received.Count == 1;
                if((control & Acknowledge) == 0 && !isFirstOfTwo)
                {
                    phase = Phase.Refusing;
                }
            }
        }

        private uint TakeReceived()
        {
            if(received.Count == 0)
            {
                return 0;
            }
            var value = received.Dequeue();
            Receive();
            return value;
        }

        private void EndTransfer()
        {
            PassOn();
            if(slave != null)
            {
                slave.FinishTransmission();
            }
            slave = null;
            phase = Phase.Idle;
        }

        private void PassOn()
        {
            if(slave != null && sent.Count > 0)
            {
                slave.Write(sent.ToArray());
            }
            sent.Clear();
        }

        private void Release()
        {
            slave = null;
            phase = Phase.Idle;
            isReading = false;
            isRefused = false;
            sent.Clear();
            received.Clear();
        }

        private bool IsMaster { get { return phase != Phase.Idle; } }

        private uint control;
        private Phase phase;
        private bool isReading;
        private bool isRefused;
        private II2CPeripheral slave;
        private readonly List<byte> sent = new List<byte>();
        private readonly Queue<byte> received = new Queue<byte>();
        private readonly Dictionary<long, uint> settings = new Dictionary<long, uint>();

        private enum Phase
        {
            Idle,
            Started,
            Addressed,
            Sending,
            Receiving,
            // The last byte was not acknowledged: nothing comes any more.
            Refusing,
        }

        private const long Control1 = 0x00;
        private const long Data = 0x10;
        private const long Status1 = 0x14;
        private const long Status2 = 0x18;
        private const long RiseTime = 0x20;
        private const uint RiseTimeAtReset = 2;

        // CR1.
        private const uint Enabled = 1u << 0;
        private const uint StartRequest = 1u << 8;
        private const uint StopRequest = 1u << 9;
        private const uint Acknowledge = 1u << 10;
        private const uint AcknowledgeNext = 1u << 11;
        private const uint SoftwareReset = 1u << 15;

        // SR1.
        private const uint StartSent = 1u << 0;
        private const uint AddressSent = 1u << 1;
        private const uint ByteDone = 1u << 2;
        private const uint DataReceived = 1u << 6;
        private const uint DataEmpty = 1u << 7;
        private const uint AcknowledgeFailure = 1u << 10;

        // SR2.
        private const uint MasterMode = 1u << 0;
        private const uint Busy = 1u << 1;
        private const uint Transmitting = 1u << 2;

        // The data register and the shift register.
        private const int Registers = 2;
        private const byte NobodyPullsDown = 0xFF;
    }
}
