// A DMA controller of the STM32F4 between a peripheral and memory: ST's RM0090, chapter 10. Input n is the request of
// the channel that stream n serves: the level, high as long as the peripheral has or wants a byte.
//
// Renode's own sends at once and whole, before the peripheral asks, and writes each received byte to memory by itself,
// which took it a second and a half for 256 of them. Here a request is waited for, and memory is read
// when the stream is enabled, and written when it is done or is asked how far it is. A byte takes no time.
//
// Not here: items of more than a byte, memory to memory, circular and double buffers, channel selection, errors, and
// interrupts half-way.

using System.Collections.Generic;
using System.Linq;

using Antmicro.Renode.Core;
using Antmicro.Renode.Logging;
using Antmicro.Renode.Peripherals.Bus;

namespace Antmicro.Renode.Peripherals.Carbonmeter
{
    public class Stm32Dma : IDoubleWordPeripheral, IKnownSize, IGPIOReceiver, INumberedGPIOOutput
    {
        public Stm32Dma(IMachine machine)
        {
            var bus = machine.GetSystemBus(this);
            for(var number = 0; number < streams.Length; number++)
            {
                streams[number] = new Stream(this, bus);
            }
            Connections = streams.Select((stream, number) => new KeyValuePair<int, IGPIO>(number, stream.Interrupt))
                .ToDictionary(pair => pair.Key, pair => pair.Value);
        }

        public void Reset()
        {
            foreach(var stream in streams)
            {
                stream.Reset();
            }
        }

        public void OnGPIO(int number, bool isHigh)
        {
            streams[number].Request(isHigh);
        }

        public uint ReadDoubleWord(long offset)
        {
            if(offset >= FirstStream)
            {
                var place = offset - FirstStream;
                return place / StreamBytes < streams.Length ? streams[place / StreamBytes].Read(place % StreamBytes) : 0;
            }
            var flags = 0u;
            if(offset < Clear)
            {
                for(var place = 0; place < FlagPlaces.Length; place++)
                {
                    flags |= streams[Half(offset) + place].IsDone ? Done << FlagPlaces[place] : 0;
                }
            }
            return flags;
        }

        public void WriteDoubleWord(long offset, uint value)
        {
            if(offset >= FirstStream)
            {
                var place = offset - FirstStream;
                if(place / StreamBytes < streams.Length)
                {
                    streams[place / StreamBytes].Write(place % StreamBytes, value);
                }
                return;
            }
            for(var place = 0; offset >= Clear && place < FlagPlaces.Length; place++)
            {
                if((value & Done << FlagPlaces[place]) != 0)
                {
                    streams[Half(offset - Clear) + place].ClearDone();
                }
            }
        }

        public long Size { get { return 0x400; } }

        public IReadOnlyDictionary<int, IGPIO> Connections { get; private set; }

        // Of the low register the first stream, and of the high one.
        private static int Half(long offset)
        {
            return offset == 0 ? 0 : FlagPlaces.Length;
        }

        private readonly Stream[] streams = new Stream[8];

        private static readonly int[] FlagPlaces = { 0, 6, 16, 22 };

        private const long Clear = 0x08;
        private const long FirstStream = 0x10;
        private const long StreamBytes = 0x18;

        // Transfer complete, in the flags of a stream.
        private const uint Done = 1u << 5;

        private sealed class Stream
        {
            public Stream(Stm32Dma controller, IBusController bus)
            {
                this.controller = controller;
                this.bus = bus;
                Interrupt = new GPIO();
            }

            public GPIO Interrupt { get; private set; }

            public bool IsDone { get; private set; }

            public void Reset()
            {
                control = count = peripheral = memory = otherMemory = fifo = 0;
                received.Clear();
                ClearDone();
            }

            public void ClearDone()
            {
                IsDone = false;
                Interrupt.Unset();
            }

            public void Request(bool isHigh)
            {
                isRequested = isHigh;
                Serve();
            }

            public uint Read(long offset)
            {
                switch(offset)
                {
                    case Control:
                        return control;
                    case Count:
                        Store();
                        return count;
                    case Peripheral:
                        return peripheral;
                    case Memory:
                        return memory;
                    case OtherMemory:
                        return otherMemory;
                    default:
                        return fifo;
                }
            }

            public void Write(long offset, uint value)
            {
                switch(offset)
                {
                    case Control:
                        WriteControl(value);
                        break;
                    case Count:
                        count = value & 0xFFFF;
                        break;
                    case Peripheral:
                        peripheral = value;
                        break;
                    case Memory:
                        memory = value;
                        break;
                    case OtherMemory:
                        otherMemory = value;
                        break;
                    default:
                        fifo = value;
                        break;
                }
            }

            private void WriteControl(uint value)
            {
                var starts = (value & ~control & Enabled) != 0;
                Store();
                control = value;
                if(!starts)
                {
                    return;
                }
                if((value & NotHere) != 0 || (value & MemoryIncrements) == 0)
                {
                    controller.Log(LogLevel.Error, "a stream that this model has not: 0x{0:X}", value);
                    control &= ~Enabled;
                    return;
                }
                next = memory;
                var found = bus.WhatIsAt(peripheral);
                device = found == null ? null : found.Peripheral as IBytePeripheral;
                if(device == null)
                {
                    controller.Log(LogLevel.Error, "nothing at 0x{0:X} takes bytes", peripheral);
                    control &= ~Enabled;
                    return;
                }
                register = peripheral - (long)found.RegistrationPoint.Range.StartAddress;
                if((value & ToPeripheral) != 0)
                {
                    toSend = new Queue<byte>(bus.ReadBytes(memory, (int)count));
                }
                Serve();
            }

            // A byte that is handed over may lower the request, and raise that of another stream.
            private void Serve()
            {
                while(isRequested && (control & Enabled) != 0 && count > 0)
                {
                    count--;
                    if((control & ToPeripheral) != 0)
                    {
                        device.WriteByte(register, toSend.Dequeue());
                    }
                    else
                    {
                        received.Add(device.ReadByte(register));
                    }
                    if(count == 0)
                    {
                        End();
                    }
                }
            }

            private void End()
            {
                Store();
                control &= ~Enabled;
                IsDone = true;
                Interrupt.Set((control & InterruptWhenDone) != 0);
            }

            private void Store()
            {
                if(received.Count > 0)
                {
                    bus.WriteBytes(received.ToArray(), next);
                    next += (uint)received.Count;
                    received.Clear();
                }
            }

            private uint control;
            private uint count;
            private uint peripheral;
            private uint memory;
            private uint otherMemory;
            private uint fifo;
            // Where what is received next goes.
            private uint next;
            private bool isRequested;
            private IBytePeripheral device;
            private long register;
            private Queue<byte> toSend = new Queue<byte>();
            private readonly List<byte> received = new List<byte>();
            private readonly Stm32Dma controller;
            private readonly IBusController bus;

            private const long Control = 0x00;
            private const long Count = 0x04;
            private const long Peripheral = 0x08;
            private const long Memory = 0x0C;
            private const long OtherMemory = 0x10;

            private const uint Enabled = 1u << 0;
            private const uint InterruptWhenDone = 1u << 4;
            private const uint ToPeripheral = 1u << 6;
            private const uint MemoryIncrements = 1u << 10;

            // Memory to memory, circular, an incrementing peripheral, larger items, two buffers.
            private const uint NotHere = 1u << 7 | 1u << 8 | 1u << 9 | 3u << 11 | 3u << 13 | 1u << 18;
        }
    }
}
